(* The logistic function, and the comparison that the formulas branch on. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
Open Scope R_scope.

Definition Rltb (x y : R) : bool := if Rlt_dec x y then true else false.

Lemma Rltb_true x y : x < y -> Rltb x y = true.
Proof. unfold Rltb; destruct (Rlt_dec x y); [reflexivity | lra]. Qed.

Lemma Rltb_false x y : y <= x -> Rltb x y = false.
Proof. unfold Rltb; destruct (Rlt_dec x y); [lra | reflexivity]. Qed.

(* Decide every comparison from what is known; split where nothing is. *)
Ltac decide_branches :=
  repeat (match goal with
  | |- context [Rltb ?x ?y] =>
      first [ rewrite (Rltb_true x y) by lra | rewrite (Rltb_false x y) by lra
            | destruct (Rlt_le_dec x y) ]
  end; cbv beta iota).

Definition sigmoid (x : R) : R := / (1 + exp (- x)).

Ltac exp_positive :=
  repeat match goal with
  | |- context [exp ?x] =>
      lazymatch goal with H : 0 < exp x |- _ => fail | _ => pose proof (exp_pos x) end
  | _ : context [exp ?x] |- _ =>
      lazymatch goal with H : 0 < exp x |- _ => fail | _ => pose proof (exp_pos x) end
  end.

Lemma one_plus_exp_pos x : 0 < 1 + exp x.
Proof. pose proof (exp_pos x); lra. Qed.

Lemma exp_opp x : exp (- x) = / exp x.
Proof. exact (exp_Ropp x). Qed.

Lemma exp_lt_1 x : x < 0 -> exp x < 1.
Proof. intros; rewrite <- exp_0; apply exp_increasing; lra. Qed.

Lemma exp_gt_1 x : 0 < x -> 1 < exp x.
Proof. intros; rewrite <- exp_0; apply exp_increasing; lra. Qed.

Lemma exp_le x y : x <= y -> exp x <= exp y.
Proof. intros [H | ->]; [left; now apply exp_increasing | right; reflexivity]. Qed.

Lemma sigmoid_exp x : sigmoid x = exp x / (1 + exp x).
Proof. unfold sigmoid; rewrite exp_opp; pose proof (exp_pos x); field; lra. Qed.

Lemma sigmoid_pos x : 0 < sigmoid x.
Proof. apply Rinv_0_lt_compat, one_plus_exp_pos. Qed.

Lemma sigmoid_lt_1 x : sigmoid x < 1.
Proof.
  unfold sigmoid; rewrite <- Rinv_1; apply Rinv_lt_contravar; pose proof (exp_pos (- x)); lra.
Qed.

Lemma sigmoid_opp x : sigmoid (- x) = 1 - sigmoid x.
Proof. unfold sigmoid; rewrite Ropp_involutive, exp_opp; pose proof (exp_pos x); field; lra. Qed.

Lemma sigmoid_increasing x y : x < y -> sigmoid x < sigmoid y.
Proof.
  intros; unfold sigmoid; apply Rinv_lt_contravar.
  - apply Rmult_lt_0_compat; apply one_plus_exp_pos.
  - apply Rplus_lt_compat_l, exp_increasing; lra.
Qed.

Lemma sigmoid_0 : sigmoid 0 = 1 / 2.
Proof. unfold sigmoid; rewrite Ropp_0, exp_0; lra. Qed.

(* The odds of the logistic function are the exponential. *)
Theorem sigmoid_odds x : sigmoid x / sigmoid (- x) = exp x.
Proof. unfold sigmoid; rewrite Ropp_involutive, exp_opp; pose proof (exp_pos x); field; lra. Qed.

Lemma sigmoid_odds_mult x : sigmoid x = exp x * sigmoid (- x).
Proof. rewrite <- (sigmoid_odds x); field; apply Rgt_not_eq, sigmoid_pos. Qed.

Lemma sigmoid_derive x : is_derive sigmoid x (sigmoid x * sigmoid (- x)).
Proof.
  unfold sigmoid; auto_derive; [apply Rgt_not_eq, one_plus_exp_pos |].
  rewrite Ropp_involutive, exp_opp; pose proof (exp_pos x); field; lra.
Qed.

Definition softplus (x : R) : R := ln (1 + exp x).

Lemma softplus_derive x : is_derive softplus x (sigmoid x).
Proof.
  unfold softplus, sigmoid; auto_derive; [apply one_plus_exp_pos |].
  rewrite exp_opp; pose proof (exp_pos x); field; lra.
Qed.

Lemma ln_sigmoid x : ln (sigmoid x) = - softplus (- x).
Proof. unfold sigmoid, softplus; apply ln_Rinv, one_plus_exp_pos. Qed.

Lemma softplus_pos x : 0 < softplus x.
Proof. unfold softplus; rewrite <- ln_1; apply ln_increasing; pose proof (exp_pos x); lra. Qed.

Lemma softplus_increasing x y : x < y -> softplus x < softplus y.
Proof.
  intros; unfold softplus; apply ln_increasing; [apply one_plus_exp_pos |].
  apply Rplus_lt_compat_l, exp_increasing; lra.
Qed.

Lemma softplus_le x y : x <= y -> softplus x <= softplus y.
Proof. intros [H | ->]; [left; now apply softplus_increasing | right; reflexivity]. Qed.

Lemma softplus_0 : softplus 0 = ln 2.
Proof. unfold softplus; rewrite exp_0; f_equal; lra. Qed.
