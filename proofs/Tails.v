(* The bounds on the tails that the certificates rest on (certify/checker.py): what no margin at
   or beyond `far` exceeds, far > tau and lam far >= 1. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target Corrected.
Open Scope R_scope.

Definition value_tail (s : schedule) (far : R) : R := ln (1 + exp (- (c_min s * far))).

Definition stretch (s : schedule) (far : R) : R :=
  lam s * far * (c_max s - c_min s) * exp (- (lam s * (far - tau s))) / kappa s.

Definition slope_tail (s : schedule) (far : R) : R :=
  (c s far + stretch s far) / (1 + exp (c_min s * far)) + 1 / (1 + exp far).

Definition ratio_slope_tail (s : schedule) (far : R) : R := 1 - c_min s + stretch s far.

Definition ratio_weight_slope_tail (s : schedule) (far : R) : R :=
  exp ((c s far - 1) * far) * ratio_slope_tail s far.

(* What moves with u c'. *)
Definition c_slope (s : schedule) (u : R) : R :=
  - lam s * (c s u - c_min s) * (c_max s - c s u) / (c_max s - c_min s).

Lemma sigmoid_of_opp x : sigmoid (- x) = / (1 + exp x).
Proof. unfold sigmoid; rewrite Ropp_involutive; reflexivity. Qed.

Lemma sigmoid_le x y : x <= y -> sigmoid x <= sigmoid y.
Proof. intros [H | ->]; [left; now apply sigmoid_increasing | right; reflexivity]. Qed.

Section Tails.

Variable s : schedule.
Hypothesis ok : valid s.
Variable far : R.
Hypothesis beyond : tau s < far.
Hypothesis steep : 1 <= lam s * far.

(* It falls once lam far >= 1. *)
Lemma stretch_falls u : far <= u -> stretch s u <= stretch s far.
Proof.
  destruct ok as (? & ? & ? & ?); intros Hu; pose proof (kappa_pos s ok).
  unfold stretch, Rdiv; apply Rmult_le_compat_r; [left; now apply Rinv_0_lt_compat |].
  replace (- (lam s * (far - tau s))) with (- (lam s * (u - tau s)) + lam s * (u - far)) by ring.
  rewrite exp_plus.
  replace (lam s * far * (c_max s - c_min s)
    * (exp (- (lam s * (u - tau s))) * exp (lam s * (u - far))))
    with ((c_max s - c_min s) * exp (- (lam s * (u - tau s)))
      * (lam s * far * exp (lam s * (u - far)))) by ring.
  replace (lam s * u * (c_max s - c_min s) * exp (- (lam s * (u - tau s))))
    with ((c_max s - c_min s) * exp (- (lam s * (u - tau s))) * (lam s * u)) by ring.
  apply Rmult_le_compat_l.
  { apply Rmult_le_pos; [lra | left; apply exp_pos]. }
  pose proof (exp_ineq1_le (lam s * (u - far))) as He.
  assert (0 <= lam s * (u - far)) by (apply Rmult_le_pos; lra).
  apply Rle_trans with (lam s * far * (1 + lam s * (u - far))); [| apply Rmult_le_compat_l; lra].
  assert (0 <= (lam s * far - 1) * (lam s * (u - far))) by (apply Rmult_le_pos; lra); lra.
Qed.

Lemma c_slope_negative u : c_slope s u <= 0.
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (c_range s ok u); unfold c_slope, Rdiv.
  assert (0 <= lam s * (c s u - c_min s) * (c_max s - c s u) * / (c_max s - c_min s)); [| lra].
  repeat apply Rmult_le_pos; try lra; left; apply Rinv_0_lt_compat; lra.
Qed.

Lemma stretch_here u : 0 < u -> - (u * c_slope s u) <= stretch s u.
Proof.
  destruct ok as (? & ? & ? & ?); intros Hu.
  pose proof (kappa_pos s ok); pose proof (exp_pos (lam s * (u - tau s))).
  unfold c_slope, stretch; rewrite exp_opp; unfold c.
  set (E := exp (lam s * (u - tau s))) in *; set (k := kappa s) in *.
  assert (0 < k * E) as Hp by now apply Rmult_lt_0_compat.
  set (p := k * E) in *; assert (0 < c_max s - c_min s) as Hd by lra.
  replace (lam s * u * (c_max s - c_min s) * / E / k)
    with (lam s * u * (c_max s - c_min s) * / p) by (unfold p; field; lra).
  clearbody p.
  replace (- (u * (- lam s * (c_min s + (c_max s - c_min s) / (1 + p) - c_min s)
      * (c_max s - (c_min s + (c_max s - c_min s) / (1 + p))) / (c_max s - c_min s))))
    with (lam s * u * (c_max s - c_min s) * (p / ((1 + p) * (1 + p)))) by (field; lra).
  apply Rmult_le_compat_l; [apply Rmult_le_pos; [apply Rmult_le_pos |]; lra |].
  apply Rmult_le_reg_r with (p * ((1 + p) * (1 + p))); [repeat apply Rmult_lt_0_compat; lra |].
  replace (p / ((1 + p) * (1 + p)) * (p * ((1 + p) * (1 + p)))) with (p * p) by (field; lra).
  replace (/ p * (p * ((1 + p) * (1 + p)))) with ((1 + p) * (1 + p)) by (field; lra).
  apply Rmult_le_compat; lra.
Qed.

Lemma beyond_tau u : far <= u -> 0 < u.
Proof. destruct ok as (? & ? & ? & ?); lra. Qed.

Lemma c_falls u : far <= u -> c s u <= c s far.
Proof. intros [H | ->]; [left; now apply c_decreasing | right; reflexivity]. Qed.

Theorem tail_stretch u : far <= u ->
  is_derive (c s) u (c_slope s u) /\ - stretch s far <= u * c_slope s u <= 0.
Proof.
  intros Hu; pose proof (beyond_tau u Hu); split; [now apply c_derive | split].
  - pose proof (stretch_here u); pose proof (stretch_falls u Hu); lra.
  - pose proof (c_slope_negative u).
    replace 0 with (u * 0) by ring; apply Rmult_le_compat_l; lra.
Qed.

Lemma log_weight_beyond u : far <= u ->
  log_weight s u = softplus (- u) - softplus (- (c s u * u)).
Proof.
  intros Hu; pose proof (beyond_tau u Hu); rewrite log_weight_cases by assumption; cbv zeta.
  decide_branches; rewrite Rabs_right by lra; apply ratio_softplus.
Qed.

Lemma damped u : far <= u -> c s u * u <= u.
Proof.
  intros Hu; pose proof (beyond_tau u Hu); pose proof (c_below s ok u).
  assert (0 <= (1 - c s u) * u) by (apply Rmult_le_pos; lra); lra.
Qed.

Lemma kept u : far <= u -> c_min s * far <= c s u * u.
Proof.
  intros Hu; destruct ok as (? & ? & ? & ?); pose proof (c_range s ok u).
  apply Rmult_le_compat; lra.
Qed.

Theorem tail_value u : far <= u ->
  - value_tail s far <= log_weight s u <= 0 /\ log_weight s (- u) = 0.
Proof.
  intros Hu; pose proof (beyond_tau u Hu); split; [split |].
  - rewrite log_weight_beyond by assumption; pose proof (softplus_pos (- u)).
    unfold value_tail; fold (softplus (- (c_min s * far))).
    pose proof (kept u Hu); pose proof (softplus_le (- (c s u * u)) (- (c_min s * far))); lra.
  - rewrite log_weight_beyond by assumption.
    pose proof (damped u Hu); pose proof (softplus_le (- u) (- (c s u * u))); lra.
  - rewrite log_weight_cases by assumption; cbv zeta; decide_branches; reflexivity.
Qed.

Theorem tail_influence u : far <= u -> - value_tail s far <= log_weight_ratio s u <= 0.
Proof.
  intros Hu; rewrite T1_ratio by assumption; unfold ratio_of.
  destruct (tail_value u Hu) as [? ->]; lra.
Qed.

(* The slope of log w beyond tau. *)
Definition log_slope (u : R) : R :=
  (c s u + u * c_slope s u) * sigmoid (- (c s u * u)) - sigmoid (- u).

Lemma product_derive u : is_derive (fun v => c s v * v) u (c s u + u * c_slope s u).
Proof.
  evar_last.
  - apply (is_derive_mult (c s) (fun v => v)); [now apply c_derive | apply is_derive_id |].
    intros; apply Rmult_comm.
  - unfold c_slope, scal, plus, mult, one; simpl; unfold mult; simpl; ring.
Qed.

Lemma softplus_opp_derive (f : R -> R) u l :
  is_derive f u l -> is_derive (fun v => softplus (- f v)) u (- (l * sigmoid (- f u))).
Proof.
  intros Hf; evar_last.
  - apply (is_derive_comp softplus (fun v => - f v)); [apply softplus_derive |].
    apply (is_derive_opp f); exact Hf.
  - unfold scal, opp; simpl; unfold mult; simpl; ring.
Qed.

Lemma near u : far < u -> locally u (fun v => far <= v).
Proof. intros H; generalize (near_above u far H); apply filter_imp; intros; lra. Qed.

Lemma log_weight_derive u : far < u -> is_derive (log_weight s) u (log_slope u).
Proof.
  intros Hu; apply is_derive_ext_loc with (fun v => softplus (- v) - softplus (- (c s v * v))).
  { generalize (near u Hu); apply filter_imp; intros; symmetry; now apply log_weight_beyond. }
  evar_last.
  - apply (is_derive_minus (fun v => softplus (- v))).
    + apply (softplus_opp_derive (fun v => v)), is_derive_id.
    + apply (softplus_opp_derive (fun v => c s v * v)), product_derive.
  - unfold log_slope, minus, plus, opp, one; simpl; ring.
Qed.

Lemma log_slope_bounded u : far < u -> Rabs (log_slope u) <= slope_tail s far.
Proof.
  intros Hu; destruct (tail_stretch u) as (_ & Hs); [lra |].
  destruct ok as (? & ? & ? & ?); pose proof (c_range s ok u); pose proof (c_falls u).
  unfold log_slope, slope_tail, Rminus, Rdiv; rewrite <- !sigmoid_of_opp, Rmult_1_l.
  eapply Rle_trans; [apply Rabs_triang |]; rewrite Rabs_Ropp; apply Rplus_le_compat.
  - rewrite Rabs_mult; apply Rmult_le_compat; try apply Rabs_pos.
    + apply Rabs_le; lra.
    + rewrite Rabs_right by (left; apply sigmoid_pos).
      apply sigmoid_le; pose proof (kept u); lra.
  - rewrite Rabs_right by (left; apply sigmoid_pos); apply sigmoid_le; lra.
Qed.

Theorem tail_slope u : far < u ->
  exists l, is_derive (log_weight s) u l /\ Rabs l <= slope_tail s far.
Proof.
  intros; exists (log_slope u); split; [now apply log_weight_derive | now apply log_slope_bounded].
Qed.

(* delta has the slope of log w there, so T' = 1 + that lies within slope_tail of 1. *)
Theorem tail_sensitivity u : far < u ->
  exists l, is_derive (log_weight_ratio s) u l /\ Rabs l <= slope_tail s far.
Proof.
  intros Hu; exists (log_slope u); split; [| now apply log_slope_bounded].
  apply is_derive_ext_loc with (log_weight s); [| now apply log_weight_derive].
  generalize (near u Hu); apply filter_imp; intros v Hv.
  rewrite T1_ratio by assumption; unfold ratio_of; destruct (tail_value v Hv) as [_ ->]; lra.
Qed.

Theorem tail_weight_slope u : far < u ->
  exists l, is_derive (published s) u l /\ Rabs l <= slope_tail s far.
Proof.
  intros Hu; exists (log_slope u * published s u); split.
  - unfold weight; evar_last.
    + apply (is_derive_comp exp (log_weight s)); [apply is_derive_exp | now apply log_weight_derive].
    + unfold scal; simpl; unfold mult; simpl; ring.
  - pose proof (log_slope_bounded u Hu); destruct (tail_value u) as [[_ Hv] _]; [lra |].
    rewrite Rabs_mult, (Rabs_right (published s u)) by (left; apply exp_pos).
    assert (published s u <= 1) by (unfold weight; rewrite <- exp_0; now apply exp_le).
    pose proof (Rabs_pos (log_slope u)); pose proof (exp_pos (log_weight s u)).
    apply Rle_trans with (Rabs (log_slope u) * 1); [| lra].
    apply Rmult_le_compat_l; assumption.
Qed.

(* The bounded-ratio weight: its log w is delta there. *)

Lemma bounded_beyond u : far <= u -> bounded_log_ratio s u = (c s u - 1) * u.
Proof.
  intros Hu; pose proof (beyond_tau u Hu).
  rewrite bounded_ratio_form, S1_formula, Rabs_right by (try assumption; lra); reflexivity.
Qed.

Lemma bounded_derive u : far < u ->
  is_derive (bounded_log_ratio s) u (c s u - 1 + u * c_slope s u).
Proof.
  intros Hu; apply is_derive_ext_loc with (fun v => c s v * v - v).
  { generalize (near u Hu); apply filter_imp; intros v Hv.
    rewrite bounded_beyond, Rmult_minus_distr_r, Rmult_1_l by assumption; reflexivity. }
  evar_last.
  - apply (is_derive_minus (fun v => c s v * v)); [apply product_derive | apply is_derive_id].
  - unfold minus, plus, opp, one; simpl; ring.
Qed.

(* T' = 1 + this. *)
Theorem tail_ratio_slope u : far < u -> exists l,
  is_derive (bounded_log_ratio s) u l /\ - ratio_slope_tail s far <= l <= c s far - 1.
Proof.
  intros Hu; exists (c s u - 1 + u * c_slope s u); split; [now apply bounded_derive |].
  destruct (tail_stretch u) as (_ & Hs); [lra |].
  pose proof (c_range s ok u); pose proof (c_falls u); unfold ratio_slope_tail; lra.
Qed.

Lemma bounded_log_beyond u : far <= u -> bounded_log_weight s u = bounded_log_ratio s u.
Proof.
  intros Hu; rewrite bounded_log_form, <- bounded_ratio_form by assumption.
  apply Rmin_right; rewrite bounded_beyond by assumption; pose proof (damped u Hu); lra.
Qed.

Theorem tail_ratio_weight_slope u : far < u -> exists l,
  is_derive (bounded s) u l /\ Rabs l <= ratio_weight_slope_tail s far.
Proof.
  intros Hu; set (m := c s u - 1 + u * c_slope s u); exists (m * bounded s u); split.
  - unfold weight; evar_last.
    + apply (is_derive_comp exp (bounded_log_weight s)); [apply is_derive_exp |].
      apply is_derive_ext_loc with (bounded_log_ratio s); [| now apply bounded_derive].
      generalize (near u Hu); apply filter_imp; intros; symmetry; now apply bounded_log_beyond.
    + unfold m, scal; simpl; unfold mult; simpl; ring.
  - destruct (tail_stretch u) as (_ & Hs); [lra |].
    destruct ok as (? & ? & ? & ?); pose proof (c_range s ok u); pose proof (c_falls u).
    pose proof (c_below s ok far beyond); pose proof (c_range s ok far).
    rewrite Rabs_mult, (Rabs_right (bounded s u)) by (left; apply exp_pos).
    unfold ratio_weight_slope_tail; rewrite Rmult_comm; apply Rmult_le_compat.
    + left; apply exp_pos.
    + apply Rabs_pos.
    + unfold weight; rewrite bounded_log_beyond, bounded_beyond by lra; apply exp_le.
      assert (0 <= (1 - c s far) * (u - far)) by (apply Rmult_le_pos; lra).
      assert (0 <= (c s far - c s u) * u) by (apply Rmult_le_pos; lra); lra.
    + unfold m, ratio_slope_tail; apply Rabs_le; lra.
Qed.

End Tails.
