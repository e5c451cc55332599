"""The installed Chromium, for tests, measurements and pictures."""

import shutil
from typing import Any

EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser")
# The first two are pages of Chromium's own that each new window loads: half a second of computing beside the measured
# page. The others are features that Playwright turns off, whose own list this option replaces.
_TURNED_OFF = (
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "AimEnabled",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)


async def launch(driver: Any, *options: str) -> Any:
    """Start the browser with more command-line *options*."""
    arguments = ["--no-sandbox", f"--disable-features={','.join(_TURNED_OFF)}", *options]
    return await driver.chromium.launch(executable_path=EXECUTABLE, args=arguments)
