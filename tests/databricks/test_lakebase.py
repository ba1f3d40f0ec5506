"""The online store on Lakebase keeps its port's promises with passwords that change, and tells faults."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from adapters.databricks.lakebase import LakebaseLogin, place_project
from adapters.databricks.published import PublishedOnlineStore, publish_table, tell_lag
from adapters.local.online_postgresql import PostgresOnlineStore
from churn.core.errors import StoreError
from churn.ports.online import OnlineStore
from churn.profile import DatabricksSettings, OnlineSettings
from tests.contract.test_online_store import *  # noqa: F403 - the suite of the port, with `open_store` below
from tests.contract.test_online_store import publish

from .workspace import USER, Workspace, as_json

numbers = itertools.count()
PASSWORDS = "POST /api/2.0/postgres/credentials"
TAGS = {"managed_by": "churn", "churn_project": "churn"}


@pytest.fixture(scope="session")
def server(postgresql_server: str) -> str:
    """The server as Lakebase's, with its database and the workspace's user."""
    with psycopg.connect(postgresql_server, password="first", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER").format(sql.Identifier(USER)))
        admin.execute("CREATE DATABASE databricks_postgres")
    return postgresql_server


class Passwords:
    """The server takes the newest password alone."""

    def __init__(self, address: str, workspace: Workspace) -> None:
        self.seconds, self.now = 0, 0.0
        self.server = {"port": int(address.rpartition(":")[2].partition("/")[0]), "dbname": "databricks_postgres"}
        self.given: list[str] = []
        self._address, self._workspace = address, workspace
        workspace.lakebase.on_password = self._take
        self.endpoint = workspace.lakebase.add_project("churn")

    def _take(self, user: str, password: str) -> None:
        with psycopg.connect(self._address, password="first", autocommit=True) as admin:
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), password))
        self.given.append(password)

    def login(self) -> LakebaseLogin:
        client = self._workspace.client()
        return LakebaseLogin(lambda: client, self.endpoint, lambda: self.now, self.server)


@pytest.fixture
def passwords(server: str, workspace: Workspace) -> Passwords:
    return Passwords(server, workspace)


@pytest.fixture
def open_store(passwords: Passwords) -> Iterator[Callable[[], OnlineStore]]:
    login, dataset, opened = passwords.login(), f"t_{next(numbers)}", list[OnlineStore]()

    def opening() -> OnlineStore:
        opened.append(PostgresOnlineStore(passwords.endpoint, dataset, options=login.options))
        return opened[-1]

    yield opening
    for store in opened:
        store.close()


def test_a_password_is_renewed_before_its_end_and_asked_for_once_meanwhile(
    workspace: Workspace, passwords: Passwords
) -> None:
    login = passwords.login()
    store = PostgresOnlineStore(passwords.endpoint, f"t_{next(numbers)}", options=login.options)
    publish(store, ("a", 1, 1, "gold", 1.0))
    assert store.get("a")
    assert len(passwords.given) == 1
    passwords.now = 3299  # of an hour, five minutes before its end
    assert login.options()["password"] == passwords.given[0]
    passwords.now = 3302
    publish(store, ("b", 1, 1, "gold", 1.0))
    assert len(passwords.given) == 2
    store.close()  # so that readers connect anew
    assert store.get("b")
    assert [as_json(call) for call in workspace.calls(PASSWORDS)] == 2 * [
        {"endpoint": passwords.endpoint, "ttl": "3600s"}
    ]
    store.close()


def test_a_password_that_ends_earlier_than_asked_is_renewed_earlier(workspace: Workspace, passwords: Passwords) -> None:
    workspace.lakebase.seconds = 600
    login = passwords.login()
    first = login.options()["password"]
    passwords.now = 310
    assert login.options()["password"] != first


def store_of(workspace: Workspace, endpoint: str, clock: Callable[[], float]) -> PostgresOnlineStore:
    client = workspace.client()
    return PostgresOnlineStore(endpoint, "gym", options=LakebaseLogin(lambda: client, endpoint, clock, pause=0).options)


def test_an_endpoint_that_is_suspended_is_told_with_the_remedy(workspace: Workspace) -> None:
    endpoint = workspace.lakebase.add_project("churn")
    workspace.lakebase.resources[endpoint]["status"]["disabled"] = True
    for ask in (lambda store: store.get("a"), lambda store: store.publication()):
        with pytest.raises(StoreError, match=r"endpoints/primary is suspended \(disabled\): start it"):
            ask(store_of(workspace, endpoint, lambda: 0.0))


def test_an_endpoint_that_does_not_start_is_waited_for_a_minute(workspace: Workspace) -> None:
    endpoint, now = workspace.lakebase.add_project("churn"), itertools.count(0, 25)
    workspace.lakebase.resources[endpoint]["status"] |= {"current_state": "INIT", "hosts": {}}
    with pytest.raises(StoreError, match="is still INIT after 60 seconds"):
        store_of(workspace, endpoint, lambda: float(next(now))).get("a")


def test_an_endpoint_that_is_not_there_is_named(workspace: Workspace) -> None:
    with pytest.raises(StoreError, match=r"projects/churn/branches/x/endpoints/y does not exist"):
        store_of(workspace, "projects/churn/branches/x/endpoints/y", lambda: 0.0).get("a")


ENDPOINT = "projects/churn/branches/production/endpoints/primary"


@pytest.mark.parametrize("fault", [None, "lose", "drop"])
def test_a_project_is_made_once_with_our_tags(workspace: Workspace, fault: str | None) -> None:
    if fault:
        getattr(workspace.faults, fault)("POST /api/2.0/postgres/projects")
    client = workspace.client()
    assert place_project(client, ENDPOINT, TAGS) == "created"
    assert place_project(client, ENDPOINT, TAGS) == "unchanged"
    tags = workspace.lakebase.resources["projects/churn"]["spec"]["custom_tags"]
    assert {tag["key"]: tag["value"] for tag in tags} == TAGS


def test_a_project_that_cannot_be_made_says_why(workspace: Workspace) -> None:
    workspace.lakebase.fails = "quota exceeded"
    with pytest.raises(StoreError, match=r"could not create the Lakebase project projects/churn: .*quota exceeded"):
        place_project(workspace.client(), ENDPOINT, TAGS)


def test_a_project_without_the_endpoint_names_those_that_it_has(workspace: Workspace) -> None:
    workspace.lakebase.add_project("churn")
    with pytest.raises(StoreError, match=f"let `profile.online.address` be {ENDPOINT}"):
        place_project(workspace.client(), ENDPOINT.replace("primary", "first"), TAGS)


@pytest.mark.parametrize("address", ["{state}/online", "projects/churn", "projects/a/branches//endpoints/c"])
def test_an_address_that_is_none_of_lakebase_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="an endpoint of Lakebase is named as in projects/churn/branches/production"):
        OnlineSettings(store="lakebase", address=address)


FAILED = "SYNCED_TABLE_ONLINE_PIPELINE_FAILED"
PUBLISHING = DatabricksSettings.model_validate({"publish_table": {"online_store": "churn-online"}})


def test_the_feature_table_is_published_by_the_current_api(workspace: Workspace) -> None:
    workspace.lakebase.stores["churn-online"] = "AVAILABLE"
    assert (
        publish_table(workspace.client(), PUBLISHING, "main.gym", "churn_features") == "main.gym.churn_features_online"
    )
    assert workspace.lakebase.published == {
        "main.gym.churn_features_online": {
            "source": "main.gym.churn_features",
            "online_store": "churn-online",
            "online_table_name": "main.gym.churn_features_online",
            "publish_mode": "TRIGGERED",
            "tags": TAGS,
        }
    }
    asked = [request.path for request in workspace.requests]
    assert not [path for path in asked if "/database/" in path or "online-tables" in path]


@pytest.mark.parametrize(("state", "said"), [("STOPPED", "is STOPPED: start it"), (None, "does not exist")])
def test_an_online_store_that_is_not_available_is_told(workspace: Workspace, state: str | None, said: str) -> None:
    if state:
        workspace.lakebase.stores["churn-online"] = state
    with pytest.raises(StoreError, match=said):
        publish_table(workspace.client(), PUBLISHING, "main.gym", "churn_features")


@pytest.mark.parametrize(
    ("status", "current", "said"),
    [
        ({"detailed_state": "SYNCED_TABLE_PROVISIONING"}, False, "has nothing yet of the features, and version 7"),
        ({"detailed_state": "SYNCED_TABLE_ONLINE", "last_processed_commit_version": 6}, False, "has version 6 of"),
        ({"detailed_state": "SYNCED_TABLE_ONLINE", "last_processed_commit_version": 7}, True, ""),
        (
            {
                "detailed_state": "SYNCED_TABLE_ONLINE_PIPELINE_FAILED",
                "message": "no CDF",
                "last_processed_commit_version": 7,
            },
            False,
            "PIPELINE_FAILED: no CDF",
        ),
    ],
)
def test_a_synced_table_that_lags_is_told_and_the_endpoint_reads_our_rows(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, status: dict[str, object], current: bool, said: str
) -> None:
    caplog.set_level("INFO")
    workspace.lakebase.resources["synced_tables/main.gym.f_online"] = {"status": status}
    assert tell_lag(workspace.client(), "main.gym.f_online", 7) is current
    assert said in caplog.text
    assert bool(caplog.text) is not current


def test_an_online_store_that_is_stopped_takes_no_publication_of_our_rows_back(
    passwords: Passwords, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    def refused(_: object) -> None:
        raise StoreError("The online store churn-online is STOPPED: start it.")

    store = PublishedOnlineStore(
        passwords.endpoint, f"t_{next(numbers)}", also=refused, options=passwords.login().options
    )
    publish(store, ("a", 1, 1, "gold", 1.0))
    assert store.get("a")
    assert "churn-online is STOPPED: start it." in caplog.text
    store.close()
