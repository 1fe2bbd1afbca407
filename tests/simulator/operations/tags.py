# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TagResource, UntagResource, ListTagsForResource for clusters, services, tasks and task definitions."""

from __future__ import annotations

from .. import errors
from ..state import Json
from ..world import Call
from .common import checked_tags, required


def _tags_of(call: Call, arn: str) -> list[Json]:
    """The very list, to be changed in place."""
    kind, _unused, rest = arn.removeprefix(call.region.arn("")).partition("/")
    parts = rest.split("/")
    if kind == "cluster" and rest in call.region.clusters:
        return call.region.clusters[rest].tags
    if kind == "service" and len(parts) == 2:
        return call.service(parts[0], parts[1]).tags
    if kind == "task-definition":
        definition = call.definition(arn)
        if definition is not None:
            return definition.tags
    if kind == "task" and len(parts) == 2:
        task = call.task(call.cluster(parts[0]), parts[1])
        if task is not None:
            return task.tags
    raise errors.ApiError("ResourceNotFoundException", "The specified resource wasn't found.")


def tag(call: Call, body: Json) -> Json:
    found = _tags_of(call, str(required(body, "resourceArn")))
    new = checked_tags(required(body, "tags"))
    keys = {one["key"] for one in new}
    found[:] = checked_tags([*(one for one in found if one["key"] not in keys), *new])
    return {}


def untag(call: Call, body: Json) -> Json:
    found = _tags_of(call, str(required(body, "resourceArn")))
    keys = set(required(body, "tagKeys"))
    found[:] = [one for one in found if one["key"] not in keys]
    return {}


def list_all(call: Call, body: Json) -> Json:
    return {"tags": _tags_of(call, str(required(body, "resourceArn")))}


OPERATIONS = {"TagResource": tag, "UntagResource": untag, "ListTagsForResource": list_all}
