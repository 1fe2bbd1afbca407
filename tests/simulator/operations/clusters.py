# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CreateCluster, DescribeClusters, ListClusters, DeleteCluster."""

from __future__ import annotations

from .. import errors, render
from ..state import Cluster, Json
from ..world import Call, last_part
from .common import checked_tags, missing, page


def create(call: Call, body: Json) -> Json:
    name = body.get("clusterName", "default")
    found = call.region.clusters.get(name)
    if found is None or found.status != "ACTIVE":
        settings = {key: value for key, value in body.items() if key not in ("clusterName", "tags")}
        arn = call.region.arn(f"cluster/{name}")
        found = Cluster(name, arn, checked_tags(body.get("tags")), settings)
        call.region.clusters[name] = found
    return {"cluster": render.cluster(found, tags=True)}


def describe(call: Call, body: Json) -> Json:
    tags = "TAGS" in body.get("include", [])
    found, failures = [], []
    for name in body.get("clusters") or ["default"]:
        one = call.region.clusters.get(last_part(name))
        if one is None:
            failures.append(missing(name if name.startswith("arn:") else call.region.arn(f"cluster/{name}")))
        else:
            found.append(render.cluster(one, tags))
    return {"clusters": found, "failures": failures}


def list_all(call: Call, body: Json) -> Json:
    arns = [one.arn for one in call.region.clusters.values() if one.status == "ACTIVE"]
    return page(arns, body, "clusterArns", 100)


def delete(call: Call, body: Json) -> Json:
    found = call.cluster(body.get("cluster"))
    if any(one.status == "ACTIVE" for one in found.services.values()):
        message = "The Cluster cannot be deleted while Services are active."
        raise errors.ApiError("ClusterContainsServicesException", message)
    found.status = "INACTIVE"
    return {"cluster": render.cluster(found)}


OPERATIONS = {
    "CreateCluster": create,
    "DescribeClusters": describe,
    "ListClusters": list_all,
    "DeleteCluster": delete,
}
