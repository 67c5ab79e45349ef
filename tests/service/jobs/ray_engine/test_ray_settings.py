import pytest

from lm.errors import ConfigError
from service.jobs.ray_engine.ray_settings import RaySettings, parse_resources


def test_resources_are_read_by_kind_of_work() -> None:
    assert parse_resources(["tune=GPU:1,CPU:4", "answer=big:0.5"]) == {
        "tune": {"GPU": 1.0, "CPU": 4.0},
        "answer": {"big": 0.5},
    }


@pytest.mark.parametrize(
    "text", ["GPU:1", "score=GPU:1", "tune=GPU", "tune=:1", "tune=GPU:-1", "tune=GPU:nan", "tune="]
)
def test_other_resources_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--ray-resources is '.*tune=GPU:1,CPU:4"):
        parse_resources([text])


@pytest.mark.parametrize("address", ["auto", "ray://head:10001", "head", "head:", ":6379", "head:port"])
def test_an_address_is_host_and_port_of_the_head(address: str) -> None:
    with pytest.raises(ConfigError, match="give HOST:PORT"):
        RaySettings(address)


def test_options_of_a_process_carry_address_and_resources() -> None:
    settings = RaySettings("head:6379", {"tune": {"GPU": 1.0}})
    assert settings.options == ["--ray-address", "head:6379", "--ray-resources", '{"tune": {"GPU": 1.0}}']
