"""`deploy/web`, `configmaps/app`, `widgets.example.com/w1`: what a person types, as a resource and a name."""

from federation.cli.session import Refused
from federation.kube.client import Client
from federation.kube.resource import CRDS, Resource

_SHORT = {
    "cj": "cronjobs", "cm": "configmaps", "deploy": "deployments", "ds": "daemonsets", "hpa": "horizontalpodautoscalers",
    "ing": "ingresses", "netpol": "networkpolicies", "ns": "namespaces", "pdb": "poddisruptionbudgets", "po": "pods",
    "pvc": "persistentvolumeclaims", "quota": "resourcequotas", "rs": "replicasets", "sa": "serviceaccounts",
    "sts": "statefulsets", "svc": "services",
}  # fmt: skip


async def resolve(hub: Client, text: str) -> tuple[Resource, str]:
    """The resource and name of KIND/NAME. Raises Refused for what the hub does not serve."""
    kind, _, name = text.partition("/")
    if not name:
        raise Refused(f"{text!r} names no object; write KIND/NAME, for example deploy/web")
    word, _, group = kind.lower().partition(".")
    word = _SHORT.get(word, word)
    resources = (await hub.discover()).resources
    for one in resources:
        singular = one.kind.lower()
        if word in (one.plural, singular) and group in ("", one.group):
            return one, name
    for crd in (await hub.list(CRDS, cached=True)).items:
        names, own_group = crd["spec"]["names"], crd["spec"]["group"]
        if word in (names.get("shortNames") or ()) and group in ("", own_group):
            found = next((one for one in resources if (one.group, one.kind) == (own_group, names["kind"])), None)
            if found is not None:
                return found, name
    raise Refused(f"the hub serves no kind {kind!r}; kubectl api-resources lists what it serves")
