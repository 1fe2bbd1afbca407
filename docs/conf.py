# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sphinx's settings for the site that docs/build.py builds."""

from __future__ import annotations

project = "keyturn.ecs"
copyright = "Contributors to the keyturn.ecs project"  # noqa: A001
html_title = "keyturn.ecs"

extensions = ["sphinx_antsibull_ext"]
html_theme = "furo"
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
html_copy_source = False
html_use_index = False

default_role = "any"
nitpicky = True
# Ansible's own, which its documentation of the cache options names.
nitpick_ignore_regex = [("envvar", "ANSIBLE_.*")]
# The build needs no network, so labels in Ansible's own documentation stay unresolved. Our own references are checked
# by antsibull-docs lint-collection-docs.
suppress_warnings = ["ref.ref"]
