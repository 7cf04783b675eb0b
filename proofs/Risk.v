(* T1: whatever the weight, the risk of a pair has one minimizer, the true margin plus the log-ratio
   of the two weights. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated.
Open Scope R_scope.

Lemma mean_value (f g : R -> R) : (forall x, is_derive f x (g x)) ->
  forall u v, u < v -> exists w, f v - f u = g w * (v - u) /\ u < w < v.
Proof.
  intros Hf u v Huv; destruct (MVT_cor2 f g u v Huv) as (w & ? & ?); [| eauto].
  intros; apply is_derive_Reals, Hf.
Qed.

(* A function lies above its tangents if its slope increases. *)
Lemma above_tangent (f g : R -> R) :
  (forall x, is_derive f x (g x)) -> (forall x y, x < y -> g x < g y) ->
  forall a x, x <> a -> f a + g a * (x - a) < f x.
Proof.
  intros Hf Hg a x Hx.
  destruct (Rtotal_order x a) as [H | [H | H]]; [| contradiction |].
  - destruct (mean_value f g Hf x a H) as (w & E & ? & ?).
    assert (0 < (g a - g w) * (a - x)) by (apply Rmult_lt_0_compat; [apply Rlt_Rminus, Hg |]; lra).
    lra.
  - destruct (mean_value f g Hf a x H) as (w & E & ? & ?).
    assert (0 < (g w - g a) * (x - a)) by (apply Rmult_lt_0_compat; [apply Rlt_Rminus, Hg |]; lra).
    lra.
Qed.

Definition strictly_convex (f : R -> R) : Prop :=
  forall x y t, x <> y -> 0 < t < 1 -> f (t * x + (1 - t) * y) < t * f x + (1 - t) * f y.

Lemma increasing_slope_convex (f g : R -> R) :
  (forall x, is_derive f x (g x)) -> (forall x y, x < y -> g x < g y) -> strictly_convex f.
Proof.
  intros Hf Hg x y t Hxy Ht.
  set (m := t * x + (1 - t) * y).
  assert (x - m = (1 - t) * (x - y)) as Ex by (unfold m; ring).
  assert (y - m = t * (y - x)) as Ey by (unfold m; ring).
  assert (x <> m) as Hx.
  { intros H; assert ((1 - t) * (x - y) = 0) as H0 by lra.
    apply Rmult_integral in H0; lra. }
  assert (y <> m) as Hy.
  { intros H; assert (t * (y - x) = 0) as H0 by lra; apply Rmult_integral in H0; lra. }
  pose proof (above_tangent f g Hf Hg m x Hx) as Tx; rewrite Ex in Tx.
  pose proof (above_tangent f g Hf Hg m y Hy) as Ty; rewrite Ey in Ty.
  apply (Rmult_lt_compat_l t) in Tx; [| lra].
  apply (Rmult_lt_compat_l (1 - t)) in Ty; [| lra].
  lra.
Qed.

Section Risk.

Variable log_w : R -> R.  (* of any weight *)

(* The probability of either label, times its weight. *)
Definition p (h_true h : R) : R := sigmoid h_true * weight log_w h.
Definition q (h_true h : R) : R := sigmoid (- h_true) * weight log_w (- h).

Lemma p_pos h_true h : 0 < p h_true h.
Proof. apply Rmult_lt_0_compat; [apply sigmoid_pos | apply exp_pos]. Qed.

Lemma q_pos h_true h : 0 < q h_true h.
Proof. apply Rmult_lt_0_compat; [apply sigmoid_pos | apply exp_pos]. Qed.

Theorem T1_risk z h_true h :
  pair_risk log_w z h_true h = p h_true h * softplus (- z) + q h_true h * softplus z.
Proof.
  unfold pair_risk, p, q, softplus, sigmoid, weight; rewrite Ropp_involutive.
  rewrite (Rplus_comm (exp z) 1), (Rplus_comm (exp h_true) 1); unfold Rdiv; ring.
Qed.

Lemma slope_form z h_true h :
  risk_slope log_w z h_true h = q h_true h * sigmoid z - p h_true h * sigmoid (- z).
Proof.
  unfold risk_slope, p, q, sigmoid, weight; rewrite !Ropp_involutive.
  pose proof (one_plus_exp_pos z); pose proof (one_plus_exp_pos (- z)).
  pose proof (one_plus_exp_pos h_true); pose proof (one_plus_exp_pos (- h_true)).
  field; lra.
Qed.

Lemma curvature_form z h_true h :
  risk_curvature log_w z h_true h = (p h_true h + q h_true h) * sigmoid z * sigmoid (- z).
Proof.
  unfold risk_curvature, p, q, sigmoid, weight; rewrite !Ropp_involutive.
  pose proof (one_plus_exp_pos z); pose proof (one_plus_exp_pos (- z)).
  pose proof (one_plus_exp_pos h_true); pose proof (one_plus_exp_pos (- h_true)).
  field; lra.
Qed.

Theorem T1_slope z h_true h :
  is_derive (fun z => pair_risk log_w z h_true h) z (risk_slope log_w z h_true h).
Proof.
  apply is_derive_ext with (fun z => p h_true h * softplus (- z) + q h_true h * softplus z).
  { intros; symmetry; apply T1_risk. }
  rewrite slope_form; unfold softplus; auto_derive.
  { repeat split; apply one_plus_exp_pos. }
  unfold sigmoid; rewrite Ropp_involutive, exp_opp; pose proof (exp_pos z); field; lra.
Qed.

(* The weighted odds of the two labels. *)
Lemma mass_odds h_true h :
  p h_true h = q h_true h * exp (effective_target (ratio_of log_w) h_true h).
Proof.
  unfold effective_target, ratio_of, p, q, weight.
  rewrite (sigmoid_odds_mult h_true), exp_plus.
  replace (exp (log_w h)) with (exp (log_w (- h)) * exp (- log_w (- h) + log_w h))
    by (rewrite <- exp_plus; f_equal; ring).
  ring.
Qed.

(* In e^z the slope has one root. *)
Lemma slope_factored z h_true h :
  risk_slope log_w z h_true h
  = q h_true h * sigmoid (- z) * (exp z - exp (effective_target (ratio_of log_w) h_true h)).
Proof. rewrite slope_form, mass_odds, (sigmoid_odds_mult z); ring. Qed.

Lemma scale_pos z h_true h : 0 < q h_true h * sigmoid (- z).
Proof. apply Rmult_lt_0_compat; [apply q_pos | apply sigmoid_pos]. Qed.

Theorem T1_stationary z h_true h :
  risk_slope log_w z h_true h = 0 <-> z = effective_target (ratio_of log_w) h_true h.
Proof.
  rewrite slope_factored; pose proof (scale_pos z h_true h); split.
  - intros H0; apply Rmult_integral in H0 as [? | ?]; [lra |].
    apply exp_inv; lra.
  - intros ->; lra.
Qed.

Lemma slope_increasing h_true h x y :
  x < y -> risk_slope log_w x h_true h < risk_slope log_w y h_true h.
Proof.
  intros H; rewrite !slope_form.
  pose proof (p_pos h_true h); pose proof (q_pos h_true h).
  assert (q h_true h * sigmoid x < q h_true h * sigmoid y)
    by (apply Rmult_lt_compat_l; [| apply sigmoid_increasing]; assumption).
  assert (p h_true h * sigmoid (- y) < p h_true h * sigmoid (- x))
    by (apply Rmult_lt_compat_l; [| apply sigmoid_increasing]; lra).
  lra.
Qed.

Theorem T1_strictly_convex h_true h : strictly_convex (fun z => pair_risk log_w z h_true h).
Proof.
  apply increasing_slope_convex with (fun z => risk_slope log_w z h_true h).
  - intros; apply T1_slope.
  - intros; now apply slope_increasing.
Qed.

Theorem T1_unique_minimizer z h_true h :
  let target := effective_target (ratio_of log_w) h_true h in
  z <> target -> pair_risk log_w target h_true h < pair_risk log_w z h_true h.
Proof.
  intros target Hz.
  pose proof (above_tangent (fun z => pair_risk log_w z h_true h)
    (fun z => risk_slope log_w z h_true h)
    (fun x => T1_slope x h_true h) (slope_increasing h_true h) target z Hz) as H.
  cbv beta in H; rewrite (proj2 (T1_stationary target h_true h) eq_refl) in H; lra.
Qed.

End Risk.
