(* The formula that is proved is the formula that trains: the three primitives that round with care,
   printed from ops/stable.py, with which NumPy and torch compute, equal the textbook's, with which
   all the other formulas here are printed. *)

From Coq Require Import Reals Lra.
From Madpo Require Import Sigmoid Generated.
Open Scope R_scope.

(* Of a number's negative and positive part one is zero. *)
Ltac split_sign x :=
  destruct (Rle_lt_dec x 0);
  [rewrite (Rmin_left 0 (- x)), (Rmin_right 0 x) by lra
  | rewrite (Rmin_right 0 (- x)), (Rmin_left 0 x) by lra];
  rewrite exp_0, ?(exp_opp x); pose proof (exp_pos x).

Theorem S1_stable_logistic a k : 0 < k -> stable_logistic a k = logistic a k.
Proof.
  intros; unfold stable_logistic, logistic; cbv zeta; split_sign a;
    assert (0 < k * exp a) by now apply Rmult_lt_0_compat.
  - field; lra.
  - field; repeat split; lra.
Qed.

Theorem S1_stable_mobius a k : 0 < k -> stable_mobius_exp a k = mobius_exp a k.
Proof.
  intros; unfold stable_mobius_exp, mobius_exp; cbv zeta; split_sign a;
    assert (0 < k * exp a) by now apply Rmult_lt_0_compat.
  - field; lra.
  - field; repeat split; lra.
Qed.

(* e^-a - e^-b, whose third argument is b - a. *)
Theorem S2_stable_difference a b :
  stable_exp_difference a b (b - a) = exp (- a) - exp (- b)
  /\ exp_difference a b (b - a) = exp (- a) - exp (- b).
Proof.
  assert (exp b = exp (b - a) * exp a) as E by (rewrite <- exp_plus; f_equal; ring).
  pose proof (exp_pos a); pose proof (exp_pos (b - a)).
  unfold stable_exp_difference, exp_difference; split.
  - split_sign (b - a); rewrite ?exp_opp, E; field; lra.
  - rewrite !exp_opp, E; field; lra.
Qed.
