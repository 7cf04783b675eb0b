(* N1: the bounded-ratio weight, w(h) = min(1, e^((c - 1) h)), has the targets that the abstract
   promises, at every margin. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk.
Open Scope R_scope.

Notation bounded s := (weight (bounded_log_weight s)).
Notation bounded_target s := (effective_target (bounded_log_ratio s)).

Section Corrected.

Variable s : schedule.
Hypothesis ok : valid s.

Lemma bounded_ratio_form h : bounded_log_ratio s h = (coefficient s h - 1) * h.
Proof.
  rewrite <- S1_excess by assumption; unfold bounded_log_ratio, excess; cbv zeta; unfold Rdiv; ring.
Qed.

Lemma bounded_log_form h : bounded_log_weight s h = Rmin 0 ((coefficient s h - 1) * h).
Proof. rewrite <- bounded_ratio_form; reflexivity. Qed.

Theorem N1_formula h : bounded s h = Rmin 1 (exp ((coefficient s h - 1) * h)).
Proof.
  unfold weight; rewrite bounded_log_form; set (x := (coefficient s h - 1) * h).
  destruct (Rle_lt_dec 0 x) as [H | H].
  - rewrite Rmin_left, exp_0, Rmin_left; [reflexivity | rewrite <- exp_0; now apply exp_le | lra].
  - rewrite !Rmin_right; [reflexivity | left; now apply exp_lt_1 | lra].
Qed.

Theorem N1_range h : 0 < bounded s h <= 1.
Proof. split; [apply exp_pos | rewrite N1_formula; apply Rmin_l]. Qed.

Theorem N1_ratio h : bounded_log_ratio s h = ratio_of (bounded_log_weight s) h.
Proof.
  unfold ratio_of; rewrite !bounded_log_form, bounded_ratio_form, coefficient_even by assumption.
  replace ((coefficient s h - 1) * - h) with (- ((coefficient s h - 1) * h)) by ring.
  set (x := (coefficient s h - 1) * h).
  unfold Rmin; repeat destruct Rle_dec; lra.
Qed.

Theorem N1_odds h : bounded s h / bounded s (- h) = exp ((coefficient s h - 1) * h).
Proof.
  rewrite <- bounded_ratio_form, N1_ratio; unfold ratio_of, weight.
  rewrite exp_plus, exp_opp; field; apply Rgt_not_eq, exp_pos.
Qed.

Theorem N1_target h : bounded_target s h h = coefficient s h * h.
Proof. unfold effective_target; rewrite bounded_ratio_form; ring. Qed.

Theorem N1_unique_target z h_true h : z <> bounded_target s h_true h ->
  pair_risk (bounded_log_weight s) (bounded_target s h_true h) h_true h
    < pair_risk (bounded_log_weight s) z h_true h.
Proof.
  unfold effective_target; rewrite N1_ratio; intros; now apply T1_unique_minimizer.
Qed.

Theorem N1_amplified h : 0 < h < tau s -> h < bounded_target s h h.
Proof.
  intros; rewrite N1_target, S1_formula, Rabs_right by (try assumption; lra).
  pose proof (c_above s ok h); assert (0 < (c s h - 1) * h) by (apply Rmult_lt_0_compat; lra); lra.
Qed.

Theorem N1_dampened h : tau s < h -> 0 <= bounded_target s h h < h.
Proof.
  destruct ok as (? & ? & ? & ?); intros.
  rewrite N1_target, S1_formula, Rabs_right by (try assumption; lra).
  pose proof (c_below s ok h); pose proof (c_range s ok h).
  assert (0 < (1 - c s h) * h) by (apply Rmult_lt_0_compat; lra).
  assert (0 <= c s h * h) by (apply Rmult_le_pos; lra); lra.
Qed.

Lemma coefficient_continuous h : continuous (coefficient s) h.
Proof.
  apply continuous_ext with (fun h => c s (Rabs h)).
  { intros; symmetry; now apply S1_formula. }
  apply (continuous_comp Rabs (c s)); [apply continuous_Rabs | now apply c_continuous].
Qed.

Theorem N1_continuous h : continuous (bounded s) h.
Proof.
  set (g := fun h => exp ((coefficient s h - 1) * h)).
  assert (continuous g h) as Hg.
  { apply (continuous_comp (fun h => (coefficient s h - 1) * h) exp).
    - apply (continuous_mult (K := R_AbsRing)); [| apply continuous_id].
      apply (continuous_minus (V := R_NormedModule));
        [apply coefficient_continuous | apply continuous_const].
    - apply (ex_derive_continuous exp); auto_derive; exact I. }
  assert (forall x y, Rmin x y = (x + y - Rabs (x - y)) / 2) as Min.
  { intros; unfold Rmin, Rabs; destruct Rle_dec, Rcase_abs; lra. }
  apply continuous_ext with (fun h => (1 + g h - Rabs (1 - g h)) * / 2).
  { intros; rewrite N1_formula, Min; reflexivity. }
  apply (continuous_mult (K := R_AbsRing)); [| apply continuous_const].
  apply (continuous_minus (V := R_NormedModule)).
  - apply (continuous_plus (V := R_NormedModule)); [apply continuous_const | exact Hg].
  - apply (continuous_comp (fun h => 1 - g h) Rabs); [| apply continuous_Rabs].
    apply (continuous_minus (V := R_NormedModule)); [apply continuous_const | exact Hg].
Qed.

End Corrected.
