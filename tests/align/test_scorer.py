"""The true reward and the texts that train its judge."""

import numpy as np
import pytest
import torch

from madpo_theory.align.scorer import batched, crops, reward, score, score_tfidf
from madpo_theory.align.store import Run


def test_reward_is_six_times_the_distance_from_a_half():
    assert reward([0.0, 0.5, 1.0]).tolist() == [-3.0, 0.0, 3.0]


def test_crops_are_windows_half_of_them_first_words():
    texts = [" ".join(f"{i}w{j}" for j in range(50)) for i in range(20)] + ["short text", "two"]
    found = crops(texts, 10, np.random.default_rng(0))
    for index, (text, crop) in enumerate(zip(texts, found, strict=True)):
        assert crop in text
        assert len(crop.split()) == min(10, len(text.split()))
        if index % 2 == 0:
            assert text.startswith(crop)
    assert sum(not text.startswith(crop) for text, crop in zip(texts, found, strict=True)) >= 7


def test_batches_keep_the_order_of_the_texts():
    class Tokenizer:
        @staticmethod
        def encode_batch(texts):
            width = max(map(len, texts))

            class Row:
                def __init__(self, text):
                    self.ids = [len(text)] * width
                    self.attention_mask = [1] * width

            return [Row(text) for text in texts]

    texts = ["x" * ((7 * i) % 101) + "y" for i in range(150)]
    found = batched(lambda batch: batch[0][:, 0].float() / 50, Tokenizer, texts, "cpu")
    expected = torch.sigmoid(torch.tensor([len(t) / 50 for t in texts])).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_stored_tfidf_scores_as_the_fitted_pipeline(tmp_path):
    import pandas
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from madpo_theory.align.scorer import fit_tfidf

    good, bad = "wonderful moving great film", "dull awful boring film"
    texts = [f"{good} {i % 7}" for i in range(20)] + [f"{bad} {i % 5}" for i in range(20)]
    table = pandas.DataFrame({"text": texts, "label": [1] * 20 + [0] * 20})
    run = Run(tmp_path)
    fit_tfidf(run, table)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=50_000)
    fit = LogisticRegression(C=10.0, max_iter=200).fit(
        vectorizer.fit_transform(texts), table["label"]
    )
    probes = ["a wonderful film", "boring film", "nothing known here", ""]
    expected = fit.predict_proba(vectorizer.transform(probes))[:, 1]
    np.testing.assert_allclose(score_tfidf(run, probes), expected, rtol=1e-6)


def test_a_missing_package_names_the_extra(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    run = Run(tmp_path)
    run.write_json("scorer.json", {"kind": "tfidf", "max_tokens": 8})
    run.write_json("terms.json", ["a"])
    run.write_tensors("scorer.safetensors", {"idf": torch.ones(1)})
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'madpo-theory\[sentiment\]'"):
        score(run, ["a"], None)
