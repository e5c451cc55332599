"""Several servers with one character set, and conversations that go on at another one."""
