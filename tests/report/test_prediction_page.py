"""The page of predictions is self-contained, and escapes every text."""

from mlic.report.prediction_page import render_predictions

SUMMARY = {
    "model": "student",
    "fingerprint": "0123",
    "images": 1200,
    "quarantined": 2,
    "labels": {"<b>cat</b>": 3, "dog": 7, **{f"rare {i}": 0 for i in range(40)}},
    "doubtful": [
        {
            "image": "<script>x.jpg",
            "source": "data:image/jpeg;base64,AAAA",
            "expected_errors": 1.26,
            "scores": [{"label": "<b>cat</b>", "probability": 0.567, "predicted": True}],
        }
    ],
}


def test_page_shows_every_doubtful_image_and_the_most_frequent_labels():
    page = render_predictions(SUMMARY)
    assert "1,198 images" in page and "57 %" in page and "1.3 wrong labels" in page
    assert page.index(">dog<") < page.index("&lt;b&gt;cat&lt;/b&gt;</th><td>3")
    assert "12 rarer labels" in page


def test_texts_of_the_user_are_escaped_and_nothing_is_loaded():
    page = render_predictions(SUMMARY)
    assert "<script" not in page and "<b>" not in page
    assert "default-src 'none'" in page
