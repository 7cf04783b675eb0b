(* Written by `python -m madpo_theory.coq` from the formulas of madpo_theory, evaluated in the
   SymPy world: do not edit. tests/test_proofs.py checks that it is what the code prints today. *)

From Coq Require Import Reals.
From Madpo Require Import Sigmoid.
Open Scope R_scope.

Record schedule := Schedule { c_max : R; c_min : R; lam : R; tau : R }.

Definition logistic (a k : R) : R :=
  / (k * exp a + 1).

Definition stable_logistic (a k : R) : R :=
  let x1 := exp (Rmin 0 (- a)) in
  x1 / (k * exp (Rmin 0 a) + x1).

Definition mobius_exp (a k : R) : R :=
  let x1 := exp a in
  (1 - x1) / (k * x1 + 1).

Definition stable_mobius_exp (a k : R) : R :=
  let x1 := exp (Rmin 0 a) in
  let x2 := exp (Rmin 0 (- a)) in
  (x2 - x1) / (k * x1 + x2).

Definition exp_difference (a b x : R) : R :=
  (1 - exp (- x)) * exp (- a).

Definition stable_exp_difference (a b x : R) : R :=
  - ((exp (Rmin 0 (- x)) - 1) * exp (- a)) + (exp (Rmin 0 x) - 1) * exp (- b).

Definition coefficient (s : schedule) (h : R) : R :=
  c_min s + (c_max s - c_min s) / (1 + (c_max s - 1) * exp (lam s * (- tau s + (if Rltb 0 h then
    h else - h))) / (1 - c_min s)).

Definition excess (s : schedule) (h : R) : R :=
  let x1 := c_max s - 1 in
  let x2 := exp (lam s * (- tau s + (if Rltb 0 h then h else - h))) in
  (1 - x2) * x1 / (1 + x1 * x2 / (1 - c_min s)).

Definition log_weight (s : schedule) (h : R) : R :=
  let x1 := c_max s - 1 in
  let x2 := if Rltb 0 h then h else - h in
  let x3 := exp (lam s * (- tau s + x2)) in
  let x4 := - ((1 - x3) * x1 * x2 / (1 + x1 * x3 / (1 - c_min s))) in
  let x5 := ln (1 + (1 - exp x4) * exp (- x2) / (1 + exp (- ((c_min s + (c_max s - c_min s) / (1
    + x1 * x3 / (1 - c_min s))) * x2)))) in
  if Rltb 0 h then x5 else (if Rltb (- tau s) h then x5 - (1 - x3) * x1 * x2 / (1 + x1 * x3 / (1
    - c_min s)) else 0).

Definition log_weight_ratio (s : schedule) (h : R) : R :=
  let x1 := c_max s - 1 in
  let x2 := if Rltb 0 h then h else - h in
  let x3 := exp (lam s * (- tau s + x2)) in
  let x4 := 1 - x3 in
  let x5 := if (if Rltb 0 h then Rltb (tau s) h else Rltb h (- tau s)) then ln (1 + (1 - exp (-
    (x4 * x1 * x2 / (1 + x1 * x3 / (1 - c_min s))))) * exp (- x2) / (1 + exp (- ((c_min s +
    (c_max s - c_min s) / (1 + x1 * x3 / (1 - c_min s))) * x2)))) else x4 * x1 * x2 / (1 + x1 *
    x3 / (1 - c_min s)) in
  if Rltb 0 h then x5 else - x5.

Definition influence_bound (s : schedule) : R :=
  - Rmin (- (tau s * (c_max s - 1))) (- ln (1 + exp (- (c_min s * tau s)))).

Definition monotone_limit (s : schedule) : R :=
  let x1 := if Rltb (- (2 * c_min s * c_max s) + c_max s + c_min s) 0 then c_min s else / c_max
    s in
  let x2 := - x1 in
  let x3 := c_max s - 1 in
  if Rltb (- (2 * c_min s * c_max s) + c_max s + c_min s) 0 then ln (x3 * x1 / (c_max s * (1 -
    x1))) + (2 * c_max s + 2 * x1) / (c_max s - x1) else (c_max s - c_min s) / ((1 - c_min s) *
    x3).

Definition beyond_limit (s : schedule) : R :=
  let x1 := c_max s - c_min s in
  let x2 := c_max s - 1 in
  if Rltb (c_min s * c_max s) 1 then ln ((c_min s + 1) * x2 / ((c_max s + 1) * (1 - c_min s))) +
    (2 * c_max s + 2 * c_min s + 4) / x1 else 2 * x1 / ((1 - c_min s) * x2).

Definition amplified_limit (s : schedule) : R :=
  ln (c_min s * (c_max s - 1) / (c_max s * (1 - c_min s))) + (2 * c_max s + 2 * c_min s) /
    (c_max s - c_min s).

Definition bounded_log_weight (s : schedule) (h : R) : R :=
  let x1 := c_max s - 1 in
  let x2 := exp (lam s * (- tau s + (if Rltb 0 h then h else - h))) in
  Rmin 0 (h * (1 - x2) * x1 / (1 + x1 * x2 / (1 - c_min s))).

Definition bounded_log_ratio (s : schedule) (h : R) : R :=
  let x1 := c_max s - 1 in
  let x2 := exp (lam s * (- tau s + (if Rltb 0 h then h else - h))) in
  h * (1 - x2) * x1 / (1 + x1 * x2 / (1 - c_min s)).

Definition weight (log_w : R -> R) (h : R) : R :=
  exp (log_w h).

Definition ratio_of (log_w : R -> R) (h : R) : R :=
  - log_w (- h) + log_w h.

Definition effective_target (delta : R -> R) (h_true h_model : R) : R :=
  h_true + delta h_model.

Definition pair_risk (log_w : R -> R) (z h_true h_model : R) : R :=
  exp (log_w (- h_model)) * ln (exp z + 1) / (exp h_true + 1) + exp (log_w h_model) * ln (1 +
    exp (- z)) / (1 + exp (- h_true)).

Definition risk_slope (log_w : R -> R) (z h_true h_model : R) : R :=
  exp (log_w (- h_model)) / ((exp h_true + 1) * (1 + exp (- z))) - exp (log_w h_model) / ((exp z
    + 1) * (1 + exp (- h_true))).

Definition risk_curvature (log_w : R -> R) (z h_true h_model : R) : R :=
  (exp (log_w (- h_model)) / (exp h_true + 1) + exp (log_w h_model) / (1 + exp (- h_true))) /
    ((exp z + 1) * (1 + exp (- z))).

Definition madpo_loss (log_w : R -> R) (beta margin : R) (chosen rejected ref_chosen
  ref_rejected : R) : R :=
  exp (log_w margin) * ln (1 + exp (- (beta * (chosen - ref_chosen + ref_rejected -
    rejected)))).

Definition dpo_loss (beta : R) (chosen rejected ref_chosen ref_rejected : R) : R :=
  ln (1 + exp (- (beta * (chosen - ref_chosen + ref_rejected - rejected)))).

Definition dpo_target (h : R) : R :=
  h.

Definition ipo_loss (beta : R) (chosen rejected ref_chosen ref_rejected : R) : R :=
  (chosen - ref_chosen + ref_rejected - rejected - (1 / 2) / beta) ^ 2.

Definition ipo_target (beta h : R) : R :=
  (1 / 2) * tanh ((1 / 2) * h) / beta.

Definition beta_dpo_beta (beta alpha running mean : R) : R :=
  beta * (alpha * (mean - running) + 1).

Definition weight_target (log_w : R -> R) (h_true h : R) : R :=
  h_true - log_w (- h) + log_w h.

Definition hard_loss (log_w offset : R -> R) (b z h : R) : R :=
  exp (log_w h) * ln (exp (- (z * b) + offset h) + 1).

Definition hard_target (log_w offset : R -> R) (b h_true h : R) : R :=
  let x1 := (1 / 2) * h_true in
  let x2 := (1 / 2) * log_w h in
  let x3 := (1 / 2) * offset h in
  let x4 := offset (- h) in
  (x1 - (1 / 2) * log_w (- h) + x2 - (1 / 2) * x4 + x3 + arcsinh (exp ((1 / 2) * x4 + x3) * sinh
    (x1 - (1 / 2) * log_w (- h) + x2))) / b.

Definition soft_target (log_w agreed disputed : R -> R) (b h_true h : R) : R :=
  let x1 := log_w (- h) in
  let x2 := log_w h in
  (- ln (agreed (- h) / (exp (h_true - x1 + x2) + 1) + disputed h / (exp (- h_true + x1 - x2) +
    1)) + ln (disputed (- h) / (exp (h_true - x1 + x2) + 1) + agreed h / (exp (- h_true + x1 -
    x2) + 1))) / b.

Definition slot_loss (log_w agreed disputed offset : R -> R) (b z h : R) : R :=
  let x1 := offset h in
  (agreed h * ln (exp (- (z * b) + x1) + 1) + disputed h * ln (exp (z * b - x1) + 1)) * exp
    (log_w h).

Definition slot_target (log_w agreed disputed offset : R -> R) (b h_true h : R) : R :=
  let x1 := log_w (- h) in
  let x2 := log_w h in
  let x3 := disputed (- h) / (exp (h_true - x1 + x2) + 1) in
  let x4 := agreed h / (exp (- h_true + x1 - x2) + 1) in
  let x5 := x3 + x4 in
  let x6 := offset h in
  let x7 := (1 / 2) * x6 in
  let x8 := agreed (- h) in
  let x9 := disputed h in
  let x10 := x8 / (exp (h_true - x1 + x2) + 1) + x9 / (exp (- h_true + x1 - x2) + 1) in
  let x11 := offset (- h) in
  (- ((1 / 2) * x11) + x7 - (1 / 2) * ln x10 + (1 / 2) * ln x5 + arcsinh (((1 / 2) * (- (x8 /
    (exp (h_true - x1 + x2) + 1)) + x4) * exp ((1 / 2) * x11 + x7) + (1 / 2) * (x3 - x9 / (exp
    (- h_true + x1 - x2) + 1)) * exp (- ((1 / 2) * x11) - x7)) / (sqrt x10 * sqrt x5))) / b.

Definition cdpo_loss (epsilon z : R) : R :=
  epsilon * ln (exp z + 1) + (1 - epsilon) * ln (1 + exp (- z)).

Definition rdpo_loss (epsilon z : R) : R :=
  (- (epsilon * ln (exp z + 1)) + (1 - epsilon) * ln (1 + exp (- z))) / (1 - 2 * epsilon).

Definition simpo_target (gamma h : R) : R :=
  let x1 := (1 / 2) * h in
  x1 + arcsinh (exp gamma * sinh x1).

Definition released : schedule := Schedule 2 (1 / 2) 1 (ln 999).

Definition class_defaults : schedule := Schedule 2 (1 / 2) 1 2.
