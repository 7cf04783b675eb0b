(* S2, S3, S4: the stable weight of the code is the published one, w(h) = sigma(c h)/sigma(h) for
   h > -tau and 1 for h <= -tau; it is positive, below 2 and continuous, with a corner at -tau. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule.
Open Scope R_scope.

Notation published s := (weight (log_weight s)).

(* A function that follows f or g near a, which agree at a and are continuous there. *)
Lemma continuous_glued (f g k : R -> R) a :
  continuous f a -> continuous g a -> f a = k a -> g a = k a ->
  locally a (fun y => k y = f y \/ k y = g y) -> continuous k a.
Proof.
  intros Hf Hg Ef Eg Hk P HP.
  assert (locally a (fun y => P (f y))) as Pf by (apply Hf; now rewrite Ef).
  assert (locally a (fun y => P (g y))) as Pg by (apply Hg; now rewrite Eg).
  unfold filtermap; generalize (filter_and _ _ Hk (filter_and _ _ Pf Pg)).
  apply filter_imp; intros y ([-> | ->] & ? & ?); assumption.
Qed.

Lemma sigmoid_continuous x : continuous sigmoid x.
Proof. apply (ex_derive_continuous sigmoid); eexists; apply sigmoid_derive. Qed.

Lemma ratio_stable u k :
  1 + (1 - exp (- ((k - 1) * u))) * exp (- u) / (1 + exp (- (k * u)))
  = sigmoid (k * u) / sigmoid u.
Proof.
  unfold sigmoid; pose proof (one_plus_exp_pos (- u)); pose proof (one_plus_exp_pos (- (k * u))).
  assert (exp (- (k * u)) = exp (- ((k - 1) * u)) * exp (- u)) as E
    by (rewrite <- exp_plus; f_equal; ring).
  rewrite E in *; field; lra.
Qed.

Lemma ratio_pos x y : 0 < sigmoid x / sigmoid y.
Proof. apply Rdiv_lt_0_compat; apply sigmoid_pos. Qed.

Lemma ratio_reflected u k :
  sigmoid (k * u) / sigmoid u * exp (- ((k - 1) * u)) = sigmoid (k * - u) / sigmoid (- u).
Proof.
  replace (k * - u) with (- (k * u)) by ring.
  rewrite (sigmoid_odds_mult (k * u)), (sigmoid_odds_mult u).
  replace (exp (k * u)) with (exp ((k - 1) * u) * exp u) by (rewrite <- exp_plus; f_equal; ring).
  rewrite exp_opp; pose proof (exp_pos u); pose proof (exp_pos ((k - 1) * u)).
  pose proof (sigmoid_pos (- u)); field; lra.
Qed.

Section Weight.

Variable s : schedule.
Hypothesis ok : valid s.

Lemma flat_excess u :
  (1 - exp (lam s * (- tau s + u))) * (c_max s - 1) * u
    / (1 + (c_max s - 1) * exp (lam s * (- tau s + u)) / (1 - c_min s))
  = (c s u - 1) * u.
Proof.
  destruct ok as (? & ? & ? & ?); unfold c, kappa.
  replace (- tau s + u) with (u - tau s) by ring.
  pose proof (exp_pos (lam s * (u - tau s))).
  set (e := exp (lam s * (u - tau s))) in *.
  assert (0 < (c_max s - 1) * e) by (apply Rmult_lt_0_compat; lra).
  field; lra.
Qed.

Lemma flat_coefficient u :
  c_min s + (c_max s - c_min s)
    / (1 + (c_max s - 1) * exp (lam s * (- tau s + u)) / (1 - c_min s))
  = c s u.
Proof.
  destruct ok as (? & ? & ? & ?); unfold c, kappa.
  replace (- tau s + u) with (u - tau s) by ring.
  do 3 f_equal; field; lra.
Qed.

Lemma log_weight_cases h :
  log_weight s h =
    let u := Rabs h in
    let g := ln (sigmoid (c s u * u) / sigmoid u) in
    if Rltb 0 h then g else if Rltb (- tau s) h then g - (c s u - 1) * u else 0.
Proof.
  unfold log_weight; cbv zeta; rewrite magnitude_abs, flat_excess, flat_coefficient, ratio_stable.
  reflexivity.
Qed.

(* What the paper prints. *)
Theorem S2_published h : - tau s < h ->
  published s h = sigmoid (coefficient s h * h) / sigmoid h.
Proof.
  intros; unfold weight; rewrite log_weight_cases, S1_formula by assumption; cbv zeta.
  destruct (Rlt_le_dec 0 h); decide_branches.
  - rewrite Rabs_right by lra; apply exp_ln, ratio_pos.
  - rewrite Rabs_left1 by lra; unfold Rminus; rewrite exp_plus, exp_ln by apply ratio_pos.
    rewrite ratio_reflected, Ropp_involutive; reflexivity.
Qed.

Theorem S2_disputed h : h <= - tau s -> published s h = 1.
Proof.
  destruct ok as (? & ? & ? & ?); intros; unfold weight.
  rewrite log_weight_cases by assumption; cbv zeta; decide_branches; apply exp_0.
Qed.

Theorem S2_positive h : 0 < published s h.
Proof. apply exp_pos. Qed.

Theorem S2_zero : published s 0 = 1.
Proof.
  destruct ok as (? & ? & ? & ?); rewrite S2_published, Rmult_0_r, sigmoid_0 by lra; field.
Qed.

Lemma inner_continuous h : continuous (fun h => sigmoid (c s (Rabs h) * h) / sigmoid h) h.
Proof.
  apply (continuous_mult (K := R_AbsRing)).
  - apply (continuous_comp (fun h => c s (Rabs h) * h) sigmoid); [| apply sigmoid_continuous].
    apply (continuous_mult (K := R_AbsRing)); [| apply continuous_id].
    apply (continuous_comp Rabs (c s)); [apply continuous_Rabs | now apply c_continuous].
  - apply continuous_comp; [apply sigmoid_continuous | apply continuous_Rinv].
    apply Rgt_not_eq, sigmoid_pos.
Qed.

Lemma near_below a b : a < b -> locally a (fun y => y < b).
Proof. intros H; exact (open_lt b a H). Qed.

Lemma near_above a b : b < a -> locally a (fun y => b < y).
Proof. intros H; exact (open_gt b a H). Qed.

Theorem S2_continuous h : continuous (published s) h.
Proof.
  destruct ok as (? & ? & ? & ?).
  set (p := fun h => sigmoid (c s (Rabs h) * h) / sigmoid h).
  assert (forall y, - tau s < y -> published s y = p y) as Ep
    by (intros; rewrite S2_published, S1_formula by assumption; reflexivity).
  assert (p (- tau s) = 1) as Et.
  { unfold p; rewrite Rabs_Ropp, Rabs_right, c_tau, Rmult_1_l by (try assumption; lra).
    pose proof (sigmoid_pos (- tau s)); field; lra. }
  destruct (Rtotal_order h (- tau s)) as [Hh | [-> | Hh]].
  - apply (continuous_glued (fun _ => 1) (fun _ => 1)); try apply continuous_const;
      try (symmetry; apply S2_disputed; lra).
    generalize (near_below h (- tau s) Hh); apply filter_imp; intros; left; apply S2_disputed; lra.
  - apply (continuous_glued p (fun _ => 1)).
    + apply inner_continuous.
    + apply continuous_const.
    + rewrite S2_disputed by lra; exact Et.
    + rewrite S2_disputed by lra; reflexivity.
    + apply filter_forall; intros y; destruct (Rlt_le_dec (- tau s) y).
      * left; now apply Ep.
      * right; now apply S2_disputed.
  - apply (continuous_glued p p); try apply inner_continuous; try (symmetry; now apply Ep).
    generalize (near_above h (- tau s) Hh); apply filter_imp; intros; left; now apply Ep.
Qed.

(* The corner at -tau: the weight is 1 left of it, and leaves it to the right with this slope. *)
Theorem S2_corner : exists f : R -> R,
  (forall h, - tau s <= h -> h < 0 -> published s h = f h) /\
  is_derive f (- tau s)
    (- (sigmoid (tau s) * lam s * tau s * ((c_max s - 1) * (1 - c_min s) / (c_max s - c_min s)))).
Proof.
  destruct ok as (? & ? & ? & ?).
  exists (fun h => sigmoid (c s (- h) * h) / sigmoid h); split.
  - intros h [Hh | <-] Hn.
    + rewrite S2_published, S1_formula, Rabs_left by assumption; reflexivity.
    + rewrite S2_disputed, Ropp_involutive, c_tau, Rmult_1_l by (try assumption; lra).
      pose proof (sigmoid_pos (- tau s)); field; lra.
  - pose proof (c_derive s ok (- - tau s)) as Hc.
    set (dc := - lam s * (c s (- - tau s) - c_min s) * (c_max s - c s (- - tau s))
                 / (c_max s - c_min s)) in Hc.
    assert (is_derive (fun h => c s (- h) * h) (- tau s) (c s (- - tau s) + tau s * dc)) as Hi.
    { evar_last.
      - apply (is_derive_mult (fun h => c s (- h)) (fun h => h)).
        + apply (is_derive_comp (c s) (fun h => - h)); [exact Hc |].
          assert (is_derive (fun h : R => - h) (- tau s) (- 1)) as Ho by (auto_derive; auto).
          exact Ho.
        + apply is_derive_id.
        + intros; apply Rmult_comm.
      - unfold scal, plus, mult, one, opp; simpl; unfold mult; simpl; ring. }
    evar_last.
    + apply (is_derive_div (fun h => sigmoid (c s (- h) * h)) sigmoid).
      * apply (is_derive_comp sigmoid (fun h => c s (- h) * h)); [apply sigmoid_derive | exact Hi].
      * apply sigmoid_derive.
      * apply Rgt_not_eq, sigmoid_pos.
    + unfold dc; rewrite Ropp_involutive, c_tau, Rmult_1_l, Ropp_involutive by assumption.
      pose proof (sigmoid_pos (- tau s)); unfold scal; simpl; unfold mult; simpl; field; lra.
Qed.

Lemma easy_below h : 0 <= h -> published s h < 1 + exp (- h).
Proof.
  destruct ok as (? & ? & ? & ?); intros; rewrite S2_published by lra.
  replace (1 + exp (- h)) with (1 / sigmoid h)
    by (unfold sigmoid; field; apply Rgt_not_eq, one_plus_exp_pos).
  apply Rmult_lt_compat_r; [apply Rinv_0_lt_compat, sigmoid_pos | apply sigmoid_lt_1].
Qed.

Lemma disputed_below h : - tau s < h < 0 -> published s h < 1.
Proof.
  intros; rewrite S2_published by lra.
  apply Rmult_lt_reg_r with (sigmoid h); [apply sigmoid_pos |].
  unfold Rdiv; rewrite Rmult_assoc, Rinv_l, Rmult_1_l, Rmult_1_r
    by apply Rgt_not_eq, sigmoid_pos.
  apply sigmoid_increasing; rewrite S1_formula, Rabs_left by (try assumption; lra).
  pose proof (c_above s ok (- h)).
  assert (0 < (c s (- h) - 1) * - h) by (apply Rmult_lt_0_compat; lra); lra.
Qed.

Theorem S3_below_two h : published s h < 2.
Proof.
  destruct (Rlt_le_dec h 0); [destruct (Rlt_le_dec (- tau s) h) |].
  - pose proof (disputed_below h); lra.
  - rewrite S2_disputed by assumption; lra.
  - pose proof (easy_below h); pose proof (exp_le (- h) 0); rewrite exp_0 in *; lra.
Qed.

Theorem S4_importance h : - tau s < h -> sigmoid h * published s h = sigmoid (coefficient s h * h).
Proof.
  intros; rewrite S2_published by assumption; field; apply Rgt_not_eq, sigmoid_pos.
Qed.

Lemma coefficient_even h : coefficient s (- h) = coefficient s h.
Proof. rewrite !S1_formula, Rabs_Ropp by assumption; reflexivity. Qed.

Theorem S4_mass_one h : Rabs h <= tau s ->
  sigmoid h * published s h + sigmoid (- h) * published s (- h) = 1.
Proof.
  destruct ok as (? & ? & ? & ?).
  assert (forall h, - tau s < h -> - tau s < - h ->
    sigmoid h * published s h + sigmoid (- h) * published s (- h) = 1) as Inside.
  { intros; rewrite !S4_importance, coefficient_even by assumption.
    replace (coefficient s h0 * - h0) with (- (coefficient s h0 * h0)) by ring.
    rewrite sigmoid_opp; ring. }
  assert (published s (tau s) = 1) as Et.
  { rewrite S2_published, S1_at_tau, Rmult_1_l by (try assumption; lra).
    pose proof (sigmoid_pos (tau s)); field; lra. }
  intros [Hh | Hh]; [apply Rabs_def2 in Hh; apply Inside; lra |].
  assert (h = tau s \/ h = - tau s) as [-> | ->]
    by (revert Hh; unfold Rabs; destruct Rcase_abs; lra).
  - rewrite Et, S2_disputed, sigmoid_opp by lra; ring.
  - rewrite Ropp_involutive, Et, S2_disputed, sigmoid_opp by lra; ring.
Qed.

Lemma outer_mass h : tau s < h ->
  sigmoid h * published s h + sigmoid (- h) * published s (- h) < 1.
Proof.
  destruct ok as (? & ? & ? & ?); intros.
  rewrite S4_importance, S2_disputed, sigmoid_opp, S1_formula, Rabs_right by (try assumption; lra).
  enough (sigmoid (c s h * h) < sigmoid h) by lra.
  apply sigmoid_increasing; pose proof (c_below s ok h).
  assert (0 < (1 - c s h) * h) by (apply Rmult_lt_0_compat; lra); lra.
Qed.

Theorem S4_mass_below_one h : tau s < Rabs h ->
  sigmoid h * published s h + sigmoid (- h) * published s (- h) < 1.
Proof.
  intros Hh; destruct (Rcase_abs h).
  - rewrite Rabs_left in Hh by assumption; apply outer_mass in Hh.
    rewrite Ropp_involutive in Hh; lra.
  - rewrite Rabs_right in Hh by assumption; now apply outer_mass.
Qed.

End Weight.
