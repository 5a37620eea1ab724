"""The client leaves nothing behind that only the garbage collector would find."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from federation.kube.errors import AlreadyExists, ApiError, NotFound
from federation.kube.resource import CONFIG_MAPS
from federation.sandbox import ApiServer
from tests.e2e.manifests import config_map


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
async def test_an_error_is_gone_with_its_answer_once_it_was_handled() -> None:
    """A process that creates and deletes all day is told 404 and 409 all day, and collects seldom."""
    client = ApiServer().client()
    await client.create(CONFIG_MAPS, config_map("there", "default"))
    kept: list[weakref.ref[ApiError]] = []
    try:
        await client.get(CONFIG_MAPS, "missing", "default")
    except NotFound as error:
        kept.append(weakref.ref(error))
    try:
        await client.create(CONFIG_MAPS, config_map("there", "default"))
    except AlreadyExists as error:
        kept.append(weakref.ref(error))
    assert [reference() for reference in kept] == [None, None]
