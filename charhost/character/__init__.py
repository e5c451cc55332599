"""What one character file defines, its validation, and its code run under deadlines."""
