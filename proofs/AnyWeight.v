(* What is true of every weight, of a pair or of its labels: the first step (T6), the fit of a pair
   to its labels (R6), the weight of any targets (N2), dampening against influence (N3). *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target Baselines.
Open Scope R_scope.

Section AnyWeight.

Variable log_w : R -> R.

Notation delta := (ratio_of log_w).

(* The first step descends by the target's tanh, at the rate of the two masses. *)
Theorem T6_first_step h_true h :
  risk_slope log_w 0 h_true h = - ((p log_w h_true h + q log_w h_true h) / 2
    * tanh (effective_target delta h_true h / 2)).
Proof.
  set (z := effective_target delta h_true h).
  replace (z / 2) with (1 / 2 * z) by lra; rewrite tanh_sigmoid, slope_form, Ropp_0, sigmoid_0.
  rewrite mass_odds; fold z; unfold sigmoid; rewrite Ropp_involutive, exp_opp.
  pose proof (exp_pos z); field; lra.
Qed.

(* k labels of n for the first response: the fit is DPO's, log (k/(n - k)), plus delta, exactly. *)
Theorem R6_exact k n h z : 0 < k < n ->
  let fit := ln (k / (n - k)) + delta h in
  let loss z := k * weight log_w h * softplus (- z) + (n - k) * weight log_w (- h) * softplus z in
  z <> fit -> loss fit < loss z.
Proof.
  intros Hk fit loss Hz.
  assert (0 < k / (n - k)) by (apply Rdiv_lt_0_compat; lra).
  assert (sigmoid (ln (k / (n - k))) = k / n) as E1.
  { unfold sigmoid; rewrite exp_opp, exp_ln by assumption; field; lra. }
  assert (sigmoid (- ln (k / (n - k))) = (n - k) / n) as E2
    by (rewrite sigmoid_opp, E1; field; lra).
  assert (forall z, loss z = n * pair_risk log_w z (ln (k / (n - k))) h) as E.
  { intros x; rewrite T1_risk; unfold loss, p, q; rewrite E1, E2; field; lra. }
  rewrite !E; apply Rmult_lt_compat_l; [lra |].
  exact (T1_unique_minimizer log_w z (ln (k / (n - k))) h Hz).
Qed.

(* What a weight dampens with an exact reward model, a wrong one can move a target by. *)
Theorem N3_general D : (forall h, Rabs (delta h) <= D) ->
  forall h, h - effective_target delta h h <= D.
Proof.
  intros H h; specialize (H h); unfold effective_target.
  pose proof (Rle_abs (- delta h)) as Ha; rewrite Rabs_Ropp in Ha; lra.
Qed.

End AnyWeight.

(* Below tau the published weight's masses add up to 1: the step is that of DPO on c h. *)
Theorem T6_published s h : valid s -> Rabs h <= tau s ->
  risk_slope (log_weight s) 0 h h = - (1 / 2 * tanh (coefficient s h * h / 2)).
Proof.
  intros ok Hh; rewrite T6_first_step; unfold p, q.
  rewrite (S4_mass_one s ok h Hh), <- (T2_target s ok h Hh).
  unfold effective_target; rewrite T1_ratio by assumption; lra.
Qed.

(* Any odd targets T have a weight, in (0, 1]. *)
Theorem N2_any_ratio T h : (forall h, T (- h) = - T h) ->
  let log_w h := Rmin 0 (T h - h) in
  0 < weight log_w h <= 1 /\ effective_target (ratio_of log_w) h h = T h.
Proof.
  intros odd log_w; split.
  - split; [apply exp_pos |]; rewrite <- exp_0; apply exp_le, Rmin_l.
  - unfold effective_target, ratio_of, log_w; rewrite odd; unfold Rmin; repeat destruct Rle_dec; lra.
Qed.
