"""Checkpoints and papers of the page: of a model, of its parents, and of defences."""

from bench.report.export.links import model_links
from bench.suite.load import Suite


def test_models_link_their_checkpoints_and_papers() -> None:
    openai = {"kind": "open_clip", "name": "ViT-B-32-quickgelu", "pretrained": "openai"}
    suite = Suite.model_validate(
        {
            "suite": "linked",
            "samples": 10,
            "protocol": {"preset": "radapt-paper"},
            "models": {
                "CLIP": openai,
                "TTC": {"kind": "ttc", "base": "CLIP"},
                "hub": {"kind": "hugging_face", "name": "owner/some-clip"},
                "FARE": {"kind": "open_clip", "name": "hf-hub:chs20/fare2-clip"},
                "own": {"kind": "nano", "weights": "clip"},
            },
            "datasets": ["cifar10"],
        }
    )
    clip = ("arXiv:2103.00020", "https://arxiv.org/abs/2103.00020")
    links = model_links(suite)
    assert links["CLIP"] == [clip]
    assert links["TTC"] == [("arXiv:2503.03613", "https://arxiv.org/abs/2503.03613"), clip]
    assert links["hub"] == [("owner/some-clip", "https://huggingface.co/owner/some-clip")]
    assert links["FARE"] == [
        ("chs20/fare2-clip", "https://huggingface.co/chs20/fare2-clip"),
        ("arXiv:2402.12336", "https://arxiv.org/abs/2402.12336"),
    ]
    assert links["own"] == []
