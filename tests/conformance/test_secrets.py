"""Every secret manager against the one suite, and what only one of them can get wrong.

AWS is moto; Google's and Kubernetes' are servers of ours with the real protocols' shapes (`tests/secret_servers.py`).
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from adapters.conformance.secrets import CANARY, Plant, SecretsSuite
from adapters.drivers.secrets import aws, file, gcp, kubernetes, memory
from adapters.drivers.secrets.memory import MemorySecrets
from adapters.errors import AdapterError, Corrupt, Denied, Invalid, NotFound, Transient
from adapters.ports import Secrets
from adapters.settings import SecretsSettings
from tests.secret_servers import (
    TOKEN,
    GoogleSecrets,
    KubernetesApi,
    MotoSecrets,
    google_secrets,
    kubernetes_api,
    moto_secrets,
)
from tests.servers import free_ports
from tests.tls_front import tls_front

PREFIX = "env-test-"


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoSecrets]:
    with moto_secrets() as running:
        yield running


@pytest.fixture(scope="module")
def on_moto(moto: MotoSecrets) -> Iterator[Secrets]:
    with pytest.MonkeyPatch.context() as patch:
        _log_in(patch)
        opened = aws.open(SecretsSettings(endpoint=moto.url, region="us-east-1", prefix="prod/app_1/"))
    yield opened
    opened.close()


@pytest.fixture
def google() -> Iterator[GoogleSecrets]:
    with google_secrets() as running:
        yield running


@pytest.fixture
def cluster() -> Iterator[KubernetesApi]:
    with kubernetes_api() as running:
        yield running


@pytest.fixture
def aws_login(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    _log_in(monkeypatch)
    return monkeypatch


def _log_in(patch: pytest.MonkeyPatch) -> None:
    """Credentials of the test's own and of nobody else's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def _private(path: Path, value: str | bytes) -> None:
    path.write_bytes(value.encode() if isinstance(value, str) else value)
    path.chmod(0o600)


class TestMemory(SecretsSuite):
    @pytest.fixture
    def secrets(self) -> MemorySecrets:
        return memory.open(SecretsSettings())

    @pytest.fixture
    def plant(self, secrets: MemorySecrets) -> Plant:
        return secrets.put


class TestFile(SecretsSuite):
    @pytest.fixture
    def secrets(self, tmp_path: Path) -> Secrets:
        return file.open(SecretsSettings(folder=str(tmp_path), prefix=PREFIX))

    @pytest.fixture
    def plant(self, tmp_path: Path) -> Plant:
        return lambda name, value: _private(tmp_path / (PREFIX + name), value)

    @pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o666, 0o777])
    def test_a_file_that_others_can_get_at_is_refused_with_the_cure(
        self, secrets: Secrets, plant: Plant, tmp_path: Path, mode: int
    ) -> None:
        plant("open", CANARY)
        path = tmp_path / (PREFIX + "open")
        path.chmod(mode)
        with pytest.raises(Denied, match="chmod 600") as refusal:
            secrets.get("open")
        assert CANARY not in "".join(traceback.format_exception(refusal.value))
        path.chmod(0o600)
        assert secrets.get("open") == CANARY

    @pytest.mark.parametrize("mode", [0o400, 0o440, 0o640])
    def test_a_file_that_the_owner_and_its_group_may_read_is_taken(
        self, secrets: Secrets, plant: Plant, tmp_path: Path, mode: int
    ) -> None:
        plant("closed", CANARY)
        (tmp_path / (PREFIX + "closed")).chmod(mode)
        assert secrets.get("closed") == CANARY

    def test_the_newline_that_an_editor_adds_is_cut_off(self, secrets: Secrets, plant: Plant) -> None:
        plant("edited", "a\nb\n")
        assert secrets.get("edited") == "a\nb"

    def test_what_is_not_text_is_refused_without_showing_it(self, secrets: Secrets, tmp_path: Path) -> None:
        _private(tmp_path / (PREFIX + "binary"), CANARY.encode() + b"\xff")
        with pytest.raises(Invalid, match="UTF-8") as refusal:
            secrets.get("binary")
        _assert_hidden(refusal.value)

    def test_what_is_no_file_is_refused_and_holds_nobody_up(self, secrets: Secrets, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / (PREFIX + "pipe"), 0o600)
        (tmp_path / (PREFIX + "folder")).mkdir()
        for name in ("pipe", "folder"):
            with pytest.raises(Invalid, match="not a file"):
                secrets.get(name)

    def test_a_file_past_the_largest_secret_is_refused_and_not_cut(self, secrets: Secrets, tmp_path: Path) -> None:
        _private(tmp_path / (PREFIX + "large"), "x" * (file.LARGEST_BYTES + 1))
        with pytest.raises(Invalid, match="65537 bytes"):
            secrets.get("large")

    def test_settings_without_a_folder_are_refused_with_the_cure(self) -> None:
        with pytest.raises(Invalid, match="ISTHMUS_SECRETS_FOLDER"):
            file.open(SecretsSettings())
        with pytest.raises(Invalid, match="folder"):
            file.open(SecretsSettings(folder="/x", prefix="../"))


class TestAws(SecretsSuite):
    @pytest.fixture
    def secrets(self, on_moto: Secrets) -> Secrets:
        return on_moto

    @pytest.fixture
    def plant(self, moto: MotoSecrets) -> Plant:
        return lambda name, value: moto.plant("prod/app_1/" + name, value)

    def test_a_binary_secret_is_read_as_text(self, secrets: Secrets, moto: MotoSecrets) -> None:
        moto.plant("prod/app_1/binary", b"bytes")
        moto.plant("prod/app_1/no-text", CANARY.encode() + b"\xff")
        assert secrets.get("binary") == "bytes"
        with pytest.raises(Invalid, match="UTF-8") as refusal:
            secrets.get("no-text")
        _assert_hidden(refusal.value)

    def test_who_may_not_read_is_denied_with_the_cure(
        self, moto: MotoSecrets, plant: Plant, aws_login: pytest.MonkeyPatch
    ) -> None:
        plant("guarded", CANARY)
        iam = moto.client("iam")
        iam.create_user(UserName="nobody")
        key = iam.create_access_key(UserName="nobody")["AccessKey"]
        aws_login.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        aws_login.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        known = aws.open(SecretsSettings(endpoint=moto.url, region="us-east-1", prefix="prod/app_1/"))
        aws_login.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
        unknown = aws.open(SecretsSettings(endpoint=moto.url, region="us-east-1", prefix="prod/app_1/"))
        with moto.authenticating():
            for secrets in (known, unknown):
                with pytest.raises(Denied, match="GetSecretValue"):
                    secrets.get("guarded")

    def test_a_process_without_credentials_is_denied(self, moto: MotoSecrets, aws_login: pytest.MonkeyPatch) -> None:
        aws_login.delenv("AWS_ACCESS_KEY_ID")
        aws_login.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(Denied, match="role"):
            aws.open(SecretsSettings(endpoint=moto.url, region="us-east-1")).get("any")

    def test_a_manager_that_is_away_is_transient(self, aws_login: pytest.MonkeyPatch) -> None:
        away = aws.open(SecretsSettings(endpoint=f"http://127.0.0.1:{free_ports(1)[0]}", region="us-east-1"))
        with pytest.raises(Transient):
            away.get("any")

    def test_a_missing_region_is_refused_with_the_cure(self, aws_login: pytest.MonkeyPatch) -> None:
        with pytest.raises(Invalid, match=r"secrets\.region"):
            aws.open(SecretsSettings())


class TestGcp(SecretsSuite):
    @pytest.fixture
    def secrets(self, google: GoogleSecrets) -> Iterator[Secrets]:
        opened = gcp.open(SecretsSettings(endpoint=google.address, project="my-project", prefix="prod_"))
        yield opened
        opened.close()

    @pytest.fixture
    def plant(self, google: GoogleSecrets) -> Plant:
        return lambda name, value: google.plant(f"projects/my-project/secrets/prod_{name}", value)

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (grpc.StatusCode.PERMISSION_DENIED, Denied),
            (grpc.StatusCode.UNAUTHENTICATED, Denied),
            (grpc.StatusCode.FAILED_PRECONDITION, NotFound),
            (grpc.StatusCode.INVALID_ARGUMENT, Invalid),
            (grpc.StatusCode.INTERNAL, Transient),
        ],
        ids=lambda value: getattr(value, "name", value.__name__ if isinstance(value, type) else ""),
    )
    def test_a_refusal_is_classified(
        self, secrets: Secrets, google: GoogleSecrets, status: grpc.StatusCode, expected: type[AdapterError]
    ) -> None:
        google.failing = status
        with pytest.raises(expected) as refusal:
            secrets.get("any")
        assert refusal.value.name == "any"

    def test_an_overload_is_asked_again_only_for_a_bounded_time(
        self, secrets: Secrets, google: GoogleSecrets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gcp, "RETRY", gcp.RETRY.with_timeout(0.5))
        google.failing = grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(Transient):
            secrets.get("any")
        assert 2 <= google.calls <= 20

    def test_a_value_that_was_damaged_on_the_way_is_refused(
        self, secrets: Secrets, google: GoogleSecrets, plant: Plant
    ) -> None:
        plant("damaged", CANARY)
        google.wrong_checksum = True
        with pytest.raises(Corrupt, match="checksum") as refusal:
            secrets.get("damaged")
        _assert_hidden(refusal.value)

    def test_what_is_not_text_is_refused_without_showing_it(self, secrets: Secrets, google: GoogleSecrets) -> None:
        google.plant("projects/my-project/secrets/prod_binary", CANARY.encode() + b"\xff")
        with pytest.raises(Invalid, match="UTF-8") as refusal:
            secrets.get("binary")
        _assert_hidden(refusal.value)

    def test_a_value_is_not_logged_by_googles_client_either(
        self, secrets: Secrets, plant: Plant, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It logs answers only where its own logger is set to DEBUG, whatever the root's level is."""
        logger = logging.getLogger(gcp.transport.__name__)
        plant("quiet", CANARY)
        with caplog.at_level(logging.DEBUG, logger.name):
            assert secrets.get("quiet") == CANARY
            logger.debug("this logger is heard")
        assert caplog.messages == ["this logger is heard"]

    def test_settings_without_a_project_are_refused_with_the_cure(self) -> None:
        with pytest.raises(Invalid, match="ISTHMUS_SECRETS_PROJECT"):
            gcp.open(SecretsSettings())


class TestKubernetesApi(SecretsSuite):
    @pytest.fixture
    def secrets(self, cluster: KubernetesApi) -> Iterator[Secrets]:
        opened = kubernetes.open(SecretsSettings(endpoint=cluster.url, namespace="test", prefix=PREFIX))
        yield opened
        opened.close()

    @pytest.fixture
    def plant(self, cluster: KubernetesApi) -> Plant:
        return lambda name, value: cluster.plant(PREFIX + name, value)

    @pytest.mark.parametrize(
        ("status", "expected"),
        [(401, Denied), (403, Denied), (422, Invalid), (429, Transient), (500, Transient), (503, Transient)],
    )
    def test_a_refusal_is_classified(
        self, secrets: Secrets, cluster: KubernetesApi, status: int, expected: type[AdapterError]
    ) -> None:
        cluster.failing = status
        with pytest.raises(expected, match="told to fail"):
            secrets.get("any")

    @pytest.mark.parametrize(
        "document",
        [
            {"data": {"other": "eA=="}},
            {},
            {"data": {"value": CANARY}},
            {"data": {"value": "cGxhbnRlZC00NzExLWNhbmFyef8="}},
            {"data": CANARY},
            CANARY,
        ],
        ids=["other key", "no data", "no base64", "no text", "no mapping", "no object"],
    )
    def test_an_object_without_a_value_is_refused_without_showing_it(
        self, secrets: Secrets, cluster: KubernetesApi, document: object
    ) -> None:
        cluster.raw = json.dumps(document).encode()
        with pytest.raises(Invalid, match="'value'") as refusal:
            secrets.get("any")
        _assert_hidden(refusal.value)

    def test_the_kubeconfig_says_who_asks(
        self, cluster: KubernetesApi, plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from kubernetes.config import kube_config

        cluster.token = TOKEN
        plant("guarded", CANARY)
        section = SecretsSettings(namespace="test", prefix=PREFIX)
        for token, allowed in ((TOKEN, True), ("another", False)):
            path = tmp_path / f"{token}.json"
            path.write_text(json.dumps(_kubeconfig(cluster.url, token)))
            monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
            secrets = kubernetes.open(section)
            if allowed:
                assert secrets.get("guarded") == CANARY
            else:
                with pytest.raises(Denied, match="401"):
                    secrets.get("guarded")
            secrets.close()

    def test_a_pod_asks_as_its_service_account_over_tls(
        self, cluster: KubernetesApi, plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from kubernetes.config import incluster_config

        cluster.token = TOKEN
        plant("guarded", CANARY)
        _private(tmp_path / "token", TOKEN)
        with tls_front(int(cluster.url.rpartition(":")[2]), tmp_path) as front:
            monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
            monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(front.ca_file))
            monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(front.port))
            secrets = kubernetes.open(SecretsSettings(namespace="test", prefix=PREFIX))
            assert secrets.get("guarded") == CANARY
            secrets.close()

    def test_an_api_that_is_away_is_transient(self) -> None:
        away = kubernetes.open(SecretsSettings(endpoint=f"http://127.0.0.1:{free_ports(1)[0]}", namespace="test"))
        with pytest.raises(Transient):
            away.get("any")

    def test_a_process_outside_every_cluster_is_denied_with_the_cure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from kubernetes.config import kube_config

        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "absent"))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        with pytest.raises(Denied, match="KUBECONFIG"):
            kubernetes.open(SecretsSettings(namespace="test"))


class TestKubernetesMounted(SecretsSuite):
    """Files as the kubelet mounts them: behind links, readable by all of the pod."""

    @pytest.fixture
    def secrets(self, tmp_path: Path) -> Secrets:
        return kubernetes.open(SecretsSettings(folder=str(tmp_path)))

    @pytest.fixture
    def plant(self, tmp_path: Path) -> Plant:
        data = tmp_path / "..data"
        data.mkdir()

        def plant(name: str, value: str) -> None:
            (data / name).write_text(value)
            (data / name).chmod(0o644)
            link = tmp_path / name
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name)

        return plant

    def test_a_mounted_secret_comes_before_the_api_and_the_api_has_the_rest(
        self, tmp_path: Path, plant: Plant, cluster: KubernetesApi
    ) -> None:
        plant("both", "mounted")
        cluster.plant("both", "served")
        cluster.plant("served-only", "served")
        secrets = kubernetes.open(SecretsSettings(folder=str(tmp_path), endpoint=cluster.url, namespace="test"))
        assert secrets.get("both") == "mounted"
        assert secrets.get("served-only") == "served"
        with pytest.raises(NotFound):
            secrets.get("neither")
        secrets.close()

    def test_settings_without_folder_and_namespace_are_refused_with_the_cure(self) -> None:
        with pytest.raises(Invalid, match="ISTHMUS_SECRETS_FOLDER"):
            kubernetes.open(SecretsSettings())


def _kubeconfig(url: str, token: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }


def _assert_hidden(error: BaseException) -> None:
    """The planted value is neither in what a traceback prints nor in any exception that this one carries along."""
    assert CANARY not in "".join(traceback.format_exception(error))
    carried: BaseException | None = error
    while carried is not None:
        assert CANARY not in repr(vars(carried)) + repr(carried.args)
        carried = carried.__cause__ or carried.__context__
