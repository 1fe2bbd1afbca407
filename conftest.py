# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes plain ``pytest`` work from a checkout at any path.

After this file is loaded ``ansible_collections.keyturn.ecs`` imports from the checkout and ``tests/simulator`` is the
package ``simulator``. The fixture `collections_path` is for the ``ansible-playbook`` processes that tests start.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

import collection_tree  # noqa: E402

# "ci" gives the same examples on every run and never fails for a slow machine, "brief" a few of them; "search" looks
# for new ones.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
hypothesis.settings.register_profile("brief", hypothesis.settings.get_profile("ci"), max_examples=10)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_TREE = tempfile.TemporaryDirectory(prefix="keyturn-tree-")
collection_tree.link(Path(_TREE.name).resolve())

if "ansible_collections" not in sys.modules:  # ansible-test has a finder of its own
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    _AnsibleCollectionFinder(paths=[str(Path(_TREE.name).resolve())])._install()


def collections_tree() -> str:
    """A folder whose ``ansible_collections/keyturn/ecs`` is this checkout: the value for ANSIBLE_COLLECTIONS_PATH."""
    return str(Path(_TREE.name).resolve())


@pytest.fixture(scope="session")
def collections_path() -> str:
    """What collections_tree() says."""
    return collections_tree()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, and say so, what the installed botocore does not know: see fakes.model."""
    from fakes.model import known

    for item in items:
        for what in (mark.args[0] for mark in item.iter_markers("needs")):
            if not known(what):
                item.add_marker(pytest.mark.skip(f"the installed botocore does not know {what}"))


@pytest.fixture(autouse=True)
def _own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for its turn because another one exhausted the limits of the same made-up account."""
    from ansible_collections.keyturn.ecs.plugins.module_utils import _aws, _pace

    monkeypatch.setattr(_aws, "pace", _pace.Pace())


@pytest.fixture(autouse=True, scope="session")
def _results_are_as_documented() -> Iterator[None]:
    """Every result that a test gets from a module's function is what the module's RETURN says."""
    import documented
    from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability

    real = Capability.answer

    def answer(capability: Capability, options: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        result = real(capability, options, **more)
        if module := documented.module_of(capability):
            wrong = list(documented.disagreements(result, documented.returns(module)))
            assert wrong == [], f"{module}'s result is not as its RETURN says"
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Capability, "answer", answer)
        yield


def pytest_unconfigure() -> None:
    _TREE.cleanup()
