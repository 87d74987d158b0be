"""Sections at the top reach every camera, however the configuration was made."""

from __future__ import annotations

from pipeline.config.cameras import Camera, Capture
from pipeline.config.load import parse
from pipeline.config.root import Config


def test_a_camera_starts_from_the_top_and_overrides_key_by_key() -> None:
    made = Config.model_validate(
        {
            "capture": {"transport": "udp", "read_timeout": 1.5},
            "cameras": {"door": "rtsp://a/b", "yard": {"source": 0, "capture": {"transport": "tcp"}}},
        }
    )
    assert made.cameras["door"].capture == Capture(transport="udp", read_timeout=1.5)
    assert made.cameras["yard"].capture == Capture(transport="tcp", read_timeout=1.5)
    assert made.cameras["yard"].source == "0"


def test_objects_work_like_plain_values() -> None:
    made = Config(
        capture=Capture(transport="udp"), cameras={"door": Camera(source="demo", capture=Capture(read_timeout=1.0))}
    )
    assert made.cameras["door"].capture == Capture(transport="udp", read_timeout=1.0)


def test_the_demo_takes_the_sections_at_the_top_too() -> None:
    assert Config.model_validate({"capture": {"pace": "fast"}}).cameras["demo"].capture.pace == "fast"
    assert parse("capture: {pace: fast}").cameras["demo"].capture.pace == "fast"


def test_yaml_and_python_mean_the_same() -> None:
    text = "capture: {transport: udp}\ncameras:\n  door: {source: rtsp://a/b, detect: {threshold: 0.7}}\n"
    same = {
        "capture": {"transport": "udp"},
        "cameras": {"door": {"source": "rtsp://a/b", "detect": {"threshold": 0.7}}},
    }
    assert parse(text) == Config.model_validate(same)
