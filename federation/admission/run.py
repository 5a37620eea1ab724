"""Admission in a hub process: every replica serves, the leader keeps the certificates and the registration.

Both are in objects that `deploy/` makes empty, so the process may change these two and create none. What it wrote comes
back by watch: a settled hub is only read from its caches (I12).
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from federation.admission.certificates import Lifetimes, Material, data_of, keep, read
from federation.admission.foretell import Foreteller
from federation.admission.known import Known
from federation.admission.registration import CONFIGURATION, bundle_of, differs, webhooks
from federation.admission.server import CERTIFICATE_END, AdmissionServer
from federation.api.meta import SYSTEM_NAMESPACE, Manifest
from federation.hub.brake_window import Limits
from federation.hub.caches import HubCaches
from federation.kube.client import Client
from federation.kube.errors import ApiError, NotFound
from federation.kube.resource import SECRETS, VALIDATING_WEBHOOKS
from federation.kube.store import Cached, Change, Store
from federation.kube.watches import Watches

log = logging.getLogger(__name__)

SECRET = "federation-admission"  # noqa: S105 - the name of it
PERIOD = 60.0
"""Seconds between two looks at what may be due; changes are looked at at once."""
RETRY = 5.0
"""Seconds after a look that failed."""
_MISSING = "%s %s is missing, so nobody asks for reviews. Run: kubectl apply --server-side -k deploy/"


class Admission:
    """`serve` in every replica, `keep` in the one that leads."""

    def __init__(
        self,
        caches: HubCaches,
        *,
        url: str,
        host: str,
        port: int,
        limits: Limits | None = None,
        managed: Callable[[], int] = lambda: 0,
        lifetimes: Lifetimes | None = None,
        period: float = PERIOD,
    ) -> None:
        """`url`: where API servers reach this server, whatever is in between; `host` and `port`: where it listens.

        `limits`: what the brake lets pass, of `managed` copies in the members.
        """
        self._caches = caches
        self._url = url
        self._name = urlsplit(url).hostname or ""
        self._lifetimes = lifetimes or Lifetimes()
        self._period = period
        foreteller = Foreteller(caches, limits=limits or Limits(), managed=managed)
        self._server = AdmissionServer(
            host=host, port=port, snapshot=Known(caches).snapshot, foretell=foreteller.foretell
        )
        self._renewed = asyncio.Event()
        self._due = asyncio.Event()
        self._said = ""
        caches.secrets.subscribe(self._secret_changed)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    async def serve(self) -> None:
        """Answer reviews until cancelled, from the first certificate on."""
        while not self._load():
            await self._renewed.wait()
            self._renewed.clear()
        while True:
            try:
                async with self._server:
                    log.info("serving admission reviews on port %d for %s", self._server.port, self._url)
                    while True:
                        await self._renewed.wait()
                        self._renewed.clear()
                        self._load()
            except OSError as error:  # the hub goes on without
                log.error("admission is not served: %s", error)  # noqa: TRY400 - the place is known
                await asyncio.sleep(RETRY)

    async def keep(self) -> None:
        """Keep certificates and registration as they should be, until cancelled. For one process at a time."""
        watches = Watches(self._caches.client)
        stored = watches.want(VALIDATING_WEBHOOKS, field_selector=f"metadata.name={CONFIGURATION}")
        stored.subscribe(lambda _: self._due.set())
        async with asyncio.TaskGroup() as group:
            group.create_task(watches.run(), name="admission-watches")
            await stored.wait_synced()
            while True:
                self._due.clear()
                delay = self._period
                try:
                    await self._look(stored)
                except ApiError as error:
                    log.warning("admission could not be kept up: %s", error)
                    delay = RETRY
                try:
                    async with asyncio.timeout(delay):
                        await self._due.wait()
                except TimeoutError:
                    continue

    async def _look(self, stored: Store) -> None:
        secret, configuration = self._caches.secrets.get(SYSTEM_NAMESPACE, SECRET), stored.get("", CONFIGURATION)
        if secret is None or configuration is None:
            self._say("Secret" if secret is None else "ValidatingWebhookConfiguration")
            return
        self._said = ""
        hooks: list[Manifest] = configuration.manifest().get("webhooks") or []
        material = await self._keep(secret, bundle_of(hooks))
        wanted = webhooks(self._url, material.bundle)
        if differs(hooks, wanted):
            stored.learn(await _write(self._caches.client, configuration.resource_version, wanted))
            log.info("webhook configuration written for %s", self._url)

    async def _keep(self, secret: Cached, published: bytes) -> Material:
        """Raises Conflict where the Secret changed meanwhile."""
        before = read(secret.manifest().get("data") or {})
        now = dt.datetime.now(dt.UTC)
        after = keep(before, host=self._name, now=now, published=published, lifetimes=self._lifetimes)
        if after != before:
            patch: Manifest = {"metadata": {"resourceVersion": secret.resource_version}, "data": data_of(after)}
            self._caches.secrets.learn(await self._caches.client.merge_patch(SECRETS, SECRET, SYSTEM_NAMESPACE, patch))
            log.info("certificates renewed; the serving one ends %s", after.serving.certificate.not_valid_after_utc)
        return after

    def _secret_changed(self, change: Change) -> None:
        entry = change.new or change.old
        if entry is not None and entry.name == SECRET:
            self._renewed.set()
            self._due.set()

    def _load(self) -> bool:
        """Serve with what the Secret holds; False where it holds nothing that can be served."""
        secret = self._caches.secrets.get(SYSTEM_NAMESPACE, SECRET)
        material = read(secret.manifest().get("data") or {}) if secret is not None else None
        if material is None:
            return False
        self._server.load(material.serving.certificate_pem, material.serving.key_pem)
        CERTIFICATE_END.set(material.serving.certificate.not_valid_after_utc.timestamp())
        return True

    def _say(self, kind: str) -> None:
        if self._said != kind:
            log.warning(_MISSING, kind, SECRET)
        self._said = kind


async def withdraw(client: Client) -> None:
    """Take the webhooks away, so that nobody waits for an answer that does not come. Nothing is written where none are."""
    try:
        stored = await client.get(VALIDATING_WEBHOOKS, CONFIGURATION)
        if stored.get("webhooks"):
            await _write(client, stored["metadata"]["resourceVersion"], [])
            log.info("admission is off; its webhooks are withdrawn")
    except NotFound:
        return
    except ApiError as error:
        log.warning("webhooks of an earlier run may still be registered: %s", error)


async def _write(client: Client, resource_version: str, wanted: list[Manifest]) -> Manifest:
    patch: Manifest = {"metadata": {"resourceVersion": resource_version}, "webhooks": wanted}
    return await client.merge_patch(VALIDATING_WEBHOOKS, CONFIGURATION, None, patch)
