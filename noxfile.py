# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nox sessions: antsibull-nox's own from antsibull-nox.toml, and one for each further stage of tools/stages.py."""

from __future__ import annotations

import antsibull_nox
import nox

nox.options.default_venv_backend = "venv"
antsibull_nox.load_antsibull_nox_toml()


def _stage(name: str, description: str) -> None:
    """Add session `name`, which runs the stage of that name; arguments after ``--`` go to its command."""

    def session_function(session: nox.Session) -> None:
        session.install("-r", "requirements/test.txt")
        session.run("python", "tools/stages.py", name, *(["--", *session.posargs] if session.posargs else []))

    session_function.__doc__ = description
    nox.session(session_function, name=name)


_stage("house-rules", "The rules that no linter knows")
_stage("types", "mypy --strict over plugins and simulator")
_stage("unit", "Unit tests")
_stage("integration", "Integration tests, against the embedded AWS")
_stage("awx", "The AWX objects in examples/awx, against awx.awx's own argument specs")
_stage("changelog", "Changelog fragments")
_stage("sanity", "ansible-test sanity, with the ansible-core that fits this Python")
_stage("ansible-lint", "ansible-lint, profile production")


if __name__ == "__main__":
    nox.main()
