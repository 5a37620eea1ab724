"""The key of everything in this package: API group and kind of a manifest."""

from federation.api.meta import Manifest

GroupKind = tuple[str, str]

DEPLOYMENT: GroupKind = ("apps", "Deployment")
REPLICA_SET: GroupKind = ("apps", "ReplicaSet")
STATEFUL_SET: GroupKind = ("apps", "StatefulSet")
DAEMON_SET: GroupKind = ("apps", "DaemonSet")
JOB: GroupKind = ("batch", "Job")
CRON_JOB: GroupKind = ("batch", "CronJob")
POD: GroupKind = ("", "Pod")
SERVICE: GroupKind = ("", "Service")
INGRESS: GroupKind = ("networking.k8s.io", "Ingress")
PVC: GroupKind = ("", "PersistentVolumeClaim")
PV: GroupKind = ("", "PersistentVolume")
PDB: GroupKind = ("policy", "PodDisruptionBudget")
HPA: GroupKind = ("autoscaling", "HorizontalPodAutoscaler")
SECRET: GroupKind = ("", "Secret")
SERVICE_ACCOUNT: GroupKind = ("", "ServiceAccount")
NAMESPACE: GroupKind = ("", "Namespace")


def group_kind(manifest: Manifest) -> GroupKind:
    """(group, kind); the group is empty for the core API."""
    return manifest["apiVersion"].rpartition("/")[0], manifest["kind"]
