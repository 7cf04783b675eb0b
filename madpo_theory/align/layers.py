"""Gemma 3's decoder layer as transformers defines it, in less time and memory.

Base weights are frozen, so gradients are those of hidden states and adapters alone, and only what
these need is kept: a norm keeps its input, projections of one input share it, a rotation nothing.
How tokens attend is a function that the caller passes: over a tree of texts in training, over
stored keys and values in generation.
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

__all__ = ["attention", "causal", "decoder_layer", "norm", "product", "rotary"]

FEW = 256
"""Rows up to which a product on a CPU is faster with the weight on its left."""


def product(hidden, weight):
    """hidden @ weight.T: (M, D), (V, D) -> (M, V)."""
    if len(hidden) > FEW or hidden.device.type != "cpu":
        return F.linear(hidden, weight)
    return (weight @ hidden.T).T


def frozen(asked, what):
    """Refuse to leave out a gradient that is asked for."""
    if any(asked):
        raise ValueError(f"{what} must be frozen: its gradient is not computed")


class Norm(torch.autograd.Function):
    """x / sqrt(mean x^2 + eps) * (1 + weight), computed in float32 or what is wider."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        frozen(ctx.needs_input_grad[1:], "the weight of a norm")
        wide = torch.promote_types(x.dtype, torch.float32)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
        scale = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(1 + weight.to(wide)).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight, scale = ctx.saved_tensors
        wide = x.to(scale.dtype)
        slope = grad * (1 + weight.to(scale.dtype))
        along = (slope * wide).sum(-1, keepdim=True).mul_(scale.pow(3)).div_(x.shape[-1])
        return slope.mul_(scale).addcmul_(wide, along, value=-1).to(x.dtype), None, None


def norm(module, x):
    """Value of a Gemma3RMSNorm."""
    return Norm.apply(x, module.weight, module.eps)


class Rotation(torch.autograd.Function):
    """Rotary positions: the two halves of the last axis as coordinates, turned."""

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        return turned(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        cos, sin = ctx.saved_tensors
        return turned(grad, cos, -sin), None, None


def turned(x, cos, sin):
    result = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    (a, b), (left, right) = x.chunk(2, -1), result.chunk(2, -1)
    torch.mul(a, cos, out=left).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=right).addcmul_(a, sin)
    return result


def rotary(text, hidden, positions):
    """(cos, sin) of positions (1, S) for every kind of layer, (1, S, 1, head / 2) each."""
    found = {}
    for kind in set(text.config.layer_types):
        tables = text.rotary_emb(hidden, positions, kind)
        found[kind] = tuple(table.chunk(2, -1)[0].unsqueeze(2) for table in tables)
    return found


def split(low, downs):
    return low.split([len(down) for down in downs], dim=-1)


class Adapted(torch.autograd.Function):
    """x @ (W + scale * up @ down).T for several (W, down, up) that read the same x; W frozen."""

    @staticmethod
    def forward(ctx, x, scales, *parts):
        weights, downs, ups = parts[0::3], parts[1::3], parts[2::3]
        frozen(ctx.needs_input_grad[2::3], "an adapted weight")
        flat, down = x.flatten(0, -2), torch.cat(downs)
        low = F.linear(flat.to(down.dtype), down)
        results = []
        for weight, up, scale, part in zip(weights, ups, scales, split(low, downs), strict=True):
            result = product(flat, weight)
            result.addmm_(part.to(result.dtype), up.T.to(result.dtype), alpha=scale)
            results.append(result.unflatten(0, x.shape[:-1]))
        ctx.save_for_backward(x, low, *parts)
        ctx.scales = scales
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        x, low, *parts = ctx.saved_tensors
        weights, downs, ups = parts[0::3], parts[1::3], parts[2::3]
        grads = [grad.flatten(0, -2) for grad in grads]
        of_ups, of_low = [], []
        for grad, up, scale, part in zip(grads, ups, ctx.scales, split(low, downs), strict=True):
            wide = grad.to(low.dtype)
            of_ups.append((wide.T @ part).mul_(scale))
            of_low.append((wide @ up).mul_(scale))
        of_low = torch.cat(of_low, dim=1)
        of_down = of_low.T @ x.flatten(0, -2).to(low.dtype)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = grads[0] @ weights[0]
            for grad, weight in zip(grads[1:], weights[1:], strict=True):
                of_x.addmm_(grad, weight)
            of_x.addmm_(of_low.to(of_x.dtype), torch.cat(downs).to(of_x.dtype))
            of_x = of_x.view(x.shape)
        of_parts = zip(of_down.split([len(down) for down in downs]), of_ups, strict=True)
        return of_x, None, *(g for down, up in of_parts for g in (None, down, up))


def adapter(module):
    """(weight, down, up, scale) of a linear layer with one plain low-rank adapter, else None."""
    if not hasattr(module, "lora_A") or module.disable_adapters or module.merged:
        return None
    names = [name for name in module.active_adapters if name in module.lora_A]
    if len(names) != 1 or module.lora_variant or module.base_layer.bias is not None:
        return None
    (name,) = names
    if module.training and getattr(module.lora_dropout[name], "p", 0.0):
        return None
    down, up = module.lora_A[name].weight, module.lora_B[name].weight
    return module.base_layer.weight, down, up, module.scaling[name]


def plain(x, module):
    """Value of a linear layer; one of a kind not foreseen here computes it itself."""
    if hasattr(module, "lora_A") and module.disable_adapters and not module.merged:
        module = module.base_layer
    if type(module) is torch.nn.Linear and module.bias is None:
        return product(x.flatten(0, -2), module.weight).unflatten(0, x.shape[:-1])
    return module(x)


def project(x, *modules):
    """Values of several linear layers on the same x (..., D), with adapters or without."""
    found = [adapter(module) for module in modules]
    if not all(found):
        return tuple(plain(x, module) for module in modules)
    parts = [tensor for *tensors, _ in found for tensor in tensors]
    return Adapted.apply(x, tuple(scale for *_, scale in found), *parts)


def causal(new, total, like):
    """Bias (new, total) by which the last `new` of `total` tokens see those up to themselves."""
    bias = torch.full((new, total), -torch.inf, dtype=like.dtype, device=like.device)
    return bias.triu(1 + total - new)


def attention(q, k, v, scale, bias):
    """Softmax attention: q (B, T, H, D), k and v (B, U, G, D), bias (T, U) -> (B, T, H, D).

    H is a multiple of G: every key serves several queries, which stand together in one product.
    """
    batch, new, heads, width = q.shape
    groups = k.shape[2]
    grouped = (batch, new, groups, heads // groups, width)
    rows = q.view(grouped).transpose(1, 2).flatten(2, 3).flatten(0, 1)
    k, v = (x.transpose(1, 2).flatten(0, 1) for x in (k, v))
    bias = bias.repeat_interleave(heads // groups, dim=0)
    wide = torch.promote_types(q.dtype, torch.float32)
    p = torch.baddbmm(bias, rows, k.mT, alpha=scale).softmax(-1, dtype=wide).to(q.dtype)
    mixed = torch.bmm(p, v).view(batch, groups, new, heads // groups, width)
    return mixed.transpose(1, 2).reshape(q.shape)


def decoder_layer(layer, hidden, turn, attend):
    """Output (B, S, D) of a Gemma3DecoderLayer; `turn` is (cos, sin), `attend(q, k, v, scale)`."""
    block, mlp = layer.self_attn, layer.mlp
    x = norm(layer.input_layernorm, hidden)
    q, k, v = (y.unflatten(-1, (-1, block.head_dim))
               for y in project(x, block.q_proj, block.k_proj, block.v_proj))  # fmt: skip
    q, k = (Rotation.apply(norm(n, y), *turn) for n, y in ((block.q_norm, q), (block.k_norm, k)))
    (x,) = project(attend(q, k, v, block.scaling).flatten(-2), block.o_proj)
    hidden = hidden + norm(layer.post_attention_layernorm, x)
    x = norm(layer.pre_feedforward_layernorm, hidden)
    gate, up = project(x, mlp.gate_proj, mlp.up_proj)
    (x,) = project(F.gelu(gate, approximate="tanh") * up, mlp.down_proj)
    return hidden + norm(layer.post_feedforward_layernorm, x)
