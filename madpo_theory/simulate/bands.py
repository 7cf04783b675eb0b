"""Means over worlds with 95 % limits: what the figures of studies draw."""

import numpy as np

__all__ = ["bands", "stacked"]


def bands(table, x, y, *, by=("method",), **about):
    """The mean of `y` over worlds for each `by` and level of `x`, and 95 % limits of that mean.

    Parameters
    ----------
    table : a study's, a pandas.DataFrame.
    x : a column, of levels; `y` a column, or values of the table's rows.
    by : columns whose values are told apart; `about`, columns of one value to add.

    Returns a DataFrame with the columns `about`, `by`, x, y, low and high, x ascending. Values that
    are not finite, as where a solver has not converged, are left out.
    """
    values = (table[y] if isinstance(y, str) else y).where(np.isfinite)
    keys = [table[name] for name in (*by, x)]
    found = values.groupby(keys, sort=False).agg(["mean", "std", "count"]).reset_index()
    half = (1.96 * found["std"] / np.sqrt(found["count"])).fillna(0.0)
    frame = found[list(by)].assign(
        x=found[x], y=found["mean"], low=found["mean"] - half, high=found["mean"] + half, **about
    )
    return frame.sort_values("x", kind="stable")


def stacked(pieces):
    """DataFrames one under the other, as a dict of arrays; what one lacks is NaN."""
    import pandas

    frame = pandas.concat(list(pieces), ignore_index=True)
    return {name: frame[name].to_numpy() for name in frame}
