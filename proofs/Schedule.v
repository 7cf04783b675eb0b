(* S1: the coefficient of the code is the one of the paper; it falls from below c_max to c_min and
   is 1 at tau. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated.
Open Scope R_scope.

(* What MarginSchedule accepts (and at most 1e8, which no proof needs). *)
Definition valid (s : schedule) : Prop :=
  1 < c_max s /\ 0 <= c_min s < 1 /\ 0 < lam s /\ 0 < tau s.

Definition kappa (s : schedule) : R := (c_max s - 1) / (1 - c_min s).

(* c(u) as the paper writes it, for a size u of the margin. *)
Definition c (s : schedule) (u : R) : R :=
  c_min s + (c_max s - c_min s) / (1 + kappa s * exp (lam s * (u - tau s))).

Lemma magnitude_abs h : (if Rltb 0 h then h else - h) = Rabs h.
Proof.
  destruct (Rlt_le_dec 0 h).
  - rewrite Rltb_true, Rabs_right by lra; reflexivity.
  - rewrite Rltb_false, Rabs_left1 by lra; reflexivity.
Qed.

Section Schedule.

Variable s : schedule.
Hypothesis ok : valid s.

Lemma kappa_pos : 0 < kappa s.
Proof. destruct ok as (? & ? & ? & ?); apply Rdiv_lt_0_compat; lra. Qed.

Let E u := exp (lam s * (u - tau s)).

Lemma denominator_pos u : 0 < 1 + kappa s * E u.
Proof.
  pose proof (Rmult_lt_0_compat _ _ kappa_pos (exp_pos (lam s * (u - tau s)))); unfold E; lra.
Qed.

Theorem S1_formula h : coefficient s h = c s (Rabs h).
Proof.
  destruct ok as (? & ? & ? & ?).
  unfold coefficient, c, kappa; cbv zeta; rewrite magnitude_abs.
  replace (lam s * (- tau s + Rabs h)) with (lam s * (Rabs h - tau s)) by ring.
  assert (forall e, (c_max s - 1) * e / (1 - c_min s) = (c_max s - 1) / (1 - c_min s) * e) as ->
    by (intros; field; lra).
  reflexivity.
Qed.

Lemma c_tau : c s (tau s) = 1.
Proof.
  destruct ok as (? & ? & ? & ?).
  unfold c, kappa; rewrite Rminus_eq_0, Rmult_0_r, exp_0; field; lra.
Qed.

Lemma c_decreasing u v : u < v -> c s v < c s u.
Proof.
  intros; destruct ok as (? & ? & ? & ?); pose proof kappa_pos.
  pose proof (denominator_pos u); pose proof (denominator_pos v).
  unfold c; apply Rplus_lt_compat_l, Rmult_lt_compat_l; [lra |].
  apply Rinv_lt_contravar; [now apply Rmult_lt_0_compat |].
  apply Rplus_lt_compat_l, Rmult_lt_compat_l, exp_increasing, Rmult_lt_compat_l; lra.
Qed.

Lemma c_range u : c_min s < c s u < c_max s.
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (denominator_pos u) as Hd; pose proof kappa_pos.
  assert (0 < E u) by apply exp_pos.
  assert (0 < kappa s * E u) by now apply Rmult_lt_0_compat.
  assert (0 < / (1 + kappa s * E u) < 1).
  { split; [now apply Rinv_0_lt_compat |].
    rewrite <- Rinv_1; apply Rinv_lt_contravar; lra. }
  unfold c; fold (E u); split.
  - assert (0 < (c_max s - c_min s) / (1 + kappa s * E u)) by (apply Rdiv_lt_0_compat; lra); lra.
  - enough ((c_max s - c_min s) * / (1 + kappa s * E u) < (c_max s - c_min s) * 1)
      by (unfold Rdiv; lra).
    apply Rmult_lt_compat_l; lra.
Qed.

Lemma c_above u : u < tau s -> 1 < c s u.
Proof. intros; rewrite <- c_tau; now apply c_decreasing. Qed.

Lemma c_below u : tau s < u -> c s u < 1.
Proof. intros; rewrite <- c_tau; now apply c_decreasing. Qed.

Lemma c_derive u :
  is_derive (c s) u (- lam s * (c s u - c_min s) * (c_max s - c s u) / (c_max s - c_min s)).
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (denominator_pos u).
  unfold c; auto_derive; [unfold E in *; apply Rgt_not_eq; assumption |].
  change (u + - tau s) with (u - tau s); fold (E u) in *; field; lra.
Qed.

Lemma c_continuous u : continuous (c s) u.
Proof. apply (ex_derive_continuous (c s)); eexists; apply c_derive. Qed.

Theorem S1_at_tau : coefficient s (tau s) = 1.
Proof.
  destruct ok as (? & ? & ? & ?); rewrite S1_formula, Rabs_right by lra; apply c_tau.
Qed.

Theorem S1_range h : c_min s < coefficient s h < c_max s.
Proof. rewrite S1_formula; apply c_range. Qed.

Theorem S1_decreasing h k : Rabs h < Rabs k -> coefficient s k < coefficient s h.
Proof. rewrite !S1_formula; apply c_decreasing. Qed.

Theorem S1_slope h : 0 < h ->
  is_derive (coefficient s) h
    (- lam s * (coefficient s h - c_min s) * (c_max s - coefficient s h) / (c_max s - c_min s)).
Proof.
  intros; rewrite S1_formula, Rabs_right by lra.
  apply is_derive_ext_loc with (c s); [| apply c_derive].
  exists (mkposreal h H); intros y Hy; rewrite S1_formula, Rabs_right; [reflexivity |].
  change (Rabs (y - h) < h) in Hy; apply Rabs_def2 in Hy; lra.
Qed.

Theorem S1_limit : is_lim (coefficient s) p_infty (c_min s).
Proof.
  destruct ok as (? & ? & ? & ?); pose proof kappa_pos.
  apply is_lim_spec; intros eps; pose proof (cond_pos eps).
  set (b := (c_max s - c_min s) / (kappa s * eps)).
  assert (0 < kappa s * eps) by now apply Rmult_lt_0_compat.
  assert (0 < b) by (apply Rdiv_lt_0_compat; lra).
  exists (Rmax 0 (tau s + ln b / lam s)); intros u Hu.
  assert (0 < u /\ tau s + ln b / lam s < u) as [Hu0 Hu1].
  { split; eapply Rle_lt_trans; [apply Rmax_l | eassumption | apply Rmax_r | eassumption]. }
  rewrite S1_formula, (Rabs_right u) by lra.
  pose proof (c_range u); rewrite Rabs_right by lra.
  assert (b < E u) as Hb.
  { unfold E; rewrite <- (exp_ln b) by lra; apply exp_increasing.
    apply (Rmult_lt_compat_l (lam s)) in Hu1; [| lra].
    replace (lam s * (tau s + ln b / lam s)) with (lam s * tau s + ln b) in Hu1 by (field; lra).
    lra. }
  unfold c; fold (E u); pose proof (denominator_pos u).
  enough ((c_max s - c_min s) / (1 + kappa s * E u) < eps) by lra.
  apply Rmult_lt_reg_r with (1 + kappa s * E u); [assumption |].
  unfold Rdiv; rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  replace (c_max s - c_min s) with (eps * (kappa s * b)) by (unfold b; field; lra).
  apply Rmult_lt_compat_l; [assumption |].
  apply (Rmult_lt_compat_l (kappa s)) in Hb; lra.
Qed.

(* The form without cancellation that the code computes with. *)
Theorem S1_excess h : excess s h = coefficient s h - 1.
Proof.
  destruct ok as (? & ? & ? & ?); rewrite S1_formula; unfold excess, c; cbv zeta.
  rewrite magnitude_abs.
  replace (lam s * (- tau s + Rabs h)) with (lam s * (Rabs h - tau s)) by ring.
  pose proof (exp_pos (lam s * (Rabs h - tau s))) as He.
  unfold kappa; set (e := exp (lam s * (Rabs h - tau s))) in *.
  assert (0 < (c_max s - 1) * e) by (apply Rmult_lt_0_compat; lra).
  field; lra.
Qed.

End Schedule.
