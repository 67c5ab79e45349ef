"""The process of the web UI: Streamlit behind its door. `python -m service.server.page_app`."""

import importlib.util
import json
import os
import sys
from pathlib import Path

from service.server.door import Door
from service.server.page import PAGE_VARIABLE, PageSettings
from service.standing import leave_out_what_stands

MAX_UPLOAD_MB = 128
# Streamlit's own colours leave captions, chosen pills and buttons too pale to be read by everyone: WCAG 2 asks for a
# contrast of 4.5. Buttons are white on the primary colour.
_COLOURS = {
    "theme.light.primaryColor": "#0060A8",
    "theme.light.textColor": "#11131A",
    "theme.dark.primaryColor": "#2878C8",
    "theme.dark.textColor": "#FAFAFA",
}


def main() -> None:
    """Serve until ended."""
    from service.run.process_limits import die_with_parent

    # The only secret is the door's; scripts of the web UI have no need of it.
    given = json.loads(os.environ.pop(PAGE_VARIABLE))
    settings = PageSettings(**{**given, "published": tuple(given["published"])})
    if settings.parent_pid is not None:
        # A page left behind by a killed service would keep its port from the next one.
        die_with_parent(settings.parent_pid)
    from starlette.middleware import Middleware
    from streamlit.starlette import App

    # Streamlit puts the folder of what was started first on the path of modules: that of the scripts, not this one.
    sys.argv[:] = ["-"]
    spec = importlib.util.find_spec("ui")
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    leave_out_what_stands()
    door = Middleware(Door, published=frozenset(settings.published), token=settings.token, port=settings.port)
    App(Path(folders[0]) / "app.py", middleware=[door]).run(
        config={
            "server.address": settings.address,
            "server.port": settings.port,
            "server.headless": True,
            "server.fileWatcherType": "none",
            "server.maxUploadSize": MAX_UPLOAD_MB,
            "browser.gatherUsageStats": False,
            # A traceback would tell a visitor nothing and an attacker much.
            "client.showErrorDetails": "none",
            "client.toolbarMode": "minimal",
            # A constant's docstring would be drawn on the page.
            "runner.magicEnabled": False,
            "logger.level": "warning",
            **_COLOURS,
        }
    )


if __name__ == "__main__":
    main()
