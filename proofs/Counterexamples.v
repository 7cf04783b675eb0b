(* T5 and T3: what fails, at explicit margins, with interval bounds on them. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target Released.
Open Scope R_scope.

Lemma target_hard u : 0 <= u <= ln 999 -> target released u u = c_released u * u.
Proof. intros; unfold effective_target; rewrite ratio_hard by assumption; ring. Qed.

Lemma target_easy u : ln 999 <= u ->
  target released u u = u + (softplus (- u) - softplus (- (c_released u * u))).
Proof. intros; unfold effective_target; now rewrite ratio_easy. Qed.

(* An easier pair gets a smaller target: the order of two margins below tau is reversed. *)
Theorem T5_released :
  0 < 5.26 < 6.9 /\ 6.9 < tau released /\
  target released 6.9 6.9 < 6.93 /\ 8.32 < target released 5.26 5.26.
Proof.
  change (tau released) with (ln 999).
  assert (6.9 < ln 999) as Ht by by_interval.
  rewrite !target_hard by lra; repeat split; try lra; clear Ht; unfold c_released; by_interval.
Qed.

(* How much: at 5.26 the target is 8.325, and no target up to tau exceeds 8.3254. *)
Theorem T5_released_peak h : 0 <= h <= tau released ->
  target released h h <= 8.3254 /\ 8.325 <= target released 5.26 5.26.
Proof.
  change (tau released) with (ln 999); intros.
  assert (5.26 <= ln 999) by by_interval.
  rewrite !target_hard by lra; clear H0; unfold c_released; split.
  - interval with (i_prec 64, i_bisect h, i_taylor h, i_degree 6).
  - by_interval.
Qed.

(* The slope at tau does not decide: it is positive here, and two margins change places before. *)
Definition turned : schedule := Schedule 7.1637 0.9666 1.28006 6.49202.

Lemma turned_valid : valid turned.
Proof. unfold valid, turned; simpl; lra. Qed.

Theorem T5_not_sufficient :
  lam turned * tau turned
    * ((c_max turned - 1) * (1 - c_min turned) / (c_max turned - c_min turned)) < 1 /\
  5 < tau turned /\ target turned 5 5 < 5.96 /\ 9.74 < target turned 2 2.
Proof.
  split; [unfold turned; simpl; by_interval |].
  assert (5 < tau turned) by (unfold turned; simpl; lra).
  rewrite !T2_target, !S1_formula, !(Rabs_right 5), !(Rabs_right 2)
    by (try apply turned_valid; rewrite ?Rabs_right; lra).
  split; [assumption |]; unfold c, kappa, turned; simpl; split; by_interval.
Qed.

(* The target of an easy pair is not c h. *)
Theorem T3_counterexample :
  7.99 < target released 8 8 /\ coefficient released 8 * 8 < 5.73.
Proof.
  pose proof released_valid as ok; assert (ln 999 <= 8) by by_interval.
  rewrite target_easy, S1_formula, Rabs_right, c_released_form by (try assumption; lra).
  unfold softplus, c_released; split; by_interval.
Qed.

(* What easy pairs lose at the released schedule, at most. *)
Theorem T3_released h : tau released <= h -> h - target released h h <= 0.0052.
Proof.
  simpl; intros; pose proof released_valid as ok.
  rewrite target_easy by assumption.
  destruct (Rle_lt_dec h 14).
  - assert (6.9 <= h) by (eapply Rle_trans; [| eassumption]; by_interval).
    unfold softplus, c_released; interval with (i_prec 64, i_bisect h, i_taylor h, i_degree 5).
  - pose proof (softplus_pos (- h)).
    pose proof (c_range released ok h) as Hr; rewrite c_released_form in Hr; simpl in Hr.
    assert (softplus (- (c_released h * h)) <= softplus (- (7))).
    { apply softplus_le; assert (1 / 2 * 14 <= c_released h * h) by (apply Rmult_le_compat; lra).
      lra. }
    assert (softplus (- (7)) <= 0.001) by (unfold softplus; by_interval); lra.
Qed.

(* L5: the temperature that matches one margin does not match another. *)
Theorem L5_mixed : target released 6 6 / 6 < 1.34 /\ 1.98 < target released 1 1 / 1.
Proof.
  assert (6 <= ln 999) by by_interval.
  rewrite !target_hard by lra; unfold c_released; split; by_interval.
Qed.
