(* T5 and T3: what fails, at explicit margins, with interval bounds on them. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target Robustness.
Open Scope R_scope.

Lemma target_hard u : 0 <= u <= ln 999 -> target released u u = c_released u * u.
Proof. intros; unfold effective_target; rewrite ratio_hard by assumption; ring. Qed.

Lemma target_easy u : ln 999 <= u ->
  target released u u = u + (softplus (- u) - softplus (- (c_released u * u))).
Proof. intros; unfold effective_target; now rewrite ratio_easy. Qed.

(* An easier pair gets a smaller target: the order of two margins below tau is reversed. *)
Theorem T5_released : exists h1 h2, 0 < h1 < h2 /\ h2 < tau released /\
  target released h2 h2 < target released h1 h1.
Proof.
  exists 5.26, 6.9.
  assert (6.9 < ln 999) by interval.
  rewrite !target_hard by lra; simpl; repeat split; try lra.
  apply Rlt_trans with 7; unfold c_released; interval.
Qed.

(* How much: at 5.26 the target is 8.325, and no target up to tau exceeds 8.3254. *)
Theorem T5_released_peak h : 0 <= h <= tau released ->
  target released h h <= 8.3254 /\ 8.325 <= target released 5.26 5.26.
Proof.
  change (tau released) with (ln 999); intros.
  assert (5.26 <= ln 999) by interval.
  rewrite !target_hard by lra; clear H0; unfold c_released; split.
  - interval with (i_bisect h, i_taylor h, i_degree 6).
  - interval.
Qed.

(* The slope at tau does not decide: it is positive here, and two margins change places before. *)
Definition turned : schedule := Schedule 7.1637 0.9666 1.28006 6.49202.

Lemma turned_valid : valid turned.
Proof. unfold valid, turned; simpl; lra. Qed.

Theorem T5_not_sufficient :
  lam turned * tau turned * ((c_max turned - 1) * (1 - c_min turned) / (c_max turned - c_min turned))
    < 1 /\
  exists h1 h2, 0 < h1 < h2 /\ h2 < tau turned /\ target turned h2 h2 < target turned h1 h1.
Proof.
  split; [unfold turned; simpl; interval |].
  exists 2, 5; assert (0 < 2 < 5 /\ 5 < tau turned) as [? ?] by (unfold turned; simpl; lra).
  repeat split; try lra.
  rewrite !T2_target, !S1_formula, !(Rabs_right 5), !(Rabs_right 2)
    by (try apply turned_valid; rewrite ?Rabs_right; lra).
  apply Rlt_trans with 9; unfold c, kappa, turned; simpl; interval.
Qed.

(* The target of an easy pair is not c h. *)
Theorem T3_counterexample :
  7.99 < target released 8 8 /\ coefficient released 8 * 8 < 5.73.
Proof.
  pose proof released_valid as ok; assert (ln 999 <= 8) by interval.
  rewrite target_easy, S1_formula, Rabs_right, c_released_form by (try assumption; lra).
  unfold softplus, c_released; split; interval.
Qed.

(* What easy pairs lose at the released schedule, at most. *)
Theorem T3_released h : tau released <= h -> h - target released h h <= 0.0052.
Proof.
  simpl; intros; pose proof released_valid as ok.
  rewrite target_easy by assumption.
  destruct (Rle_lt_dec h 14).
  - assert (6.9 <= h) by (eapply Rle_trans; [| eassumption]; interval).
    unfold softplus, c_released; interval with (i_bisect h, i_taylor h, i_degree 5).
  - pose proof (softplus_pos (- h)).
    pose proof (c_range released ok h) as Hr; rewrite c_released_form in Hr; simpl in Hr.
    assert (softplus (- (c_released h * h)) <= softplus (- (7))).
    { apply softplus_le; assert (1 / 2 * 14 <= c_released h * h) by (apply Rmult_le_compat; lra).
      lra. }
    assert (softplus (- (7)) <= 0.001) by (unfold softplus; interval); lra.
Qed.

(* L5: the temperature that matches one margin does not match another. *)
Theorem L5_mixed : target released 6 6 / 6 < 1.34 /\ 1.98 < target released 1 1 / 1.
Proof.
  assert (6 <= ln 999) by interval.
  rewrite !target_hard by lra; unfold c_released; split; interval.
Qed.

(* T3 says that the dampening vanishes. With c_min = 0 it does not: it tends to log 2. *)
Theorem T3_lasts s : valid s -> c_min s = 0 -> is_lim (fun h => h - target s h h) p_infty (ln 2).
Proof.
  intros ok H0; pose proof ok as (? & ? & ? & ?); pose proof (kappa_pos s ok) as Hk.
  assert (0 < exp (- (lam s * tau s))) as He by apply exp_pos.
  set (a := kappa s * exp (- (lam s * tau s)) * (lam s * lam s) / 4).
  assert (0 < lam s * lam s) by now apply Rmult_lt_0_compat.
  assert (0 < kappa s * exp (- (lam s * tau s))) by now apply Rmult_lt_0_compat.
  assert (0 < a) by (apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; assumption | lra]).
  (* c h < c_max/(a h), since e^(lam h) > (lam h/2)^2 *)
  assert (forall h, 0 < h -> coefficient s h * h < c_max s / (a * h)) as Small.
  { intros h Hh; rewrite S1_formula, Rabs_right by (try assumption; lra).
    unfold c; rewrite H0, Rplus_0_l, Rminus_0_r.
    assert (a * h * h < kappa s * exp (lam s * (h - tau s))) as Ha.
    { replace (lam s * (h - tau s)) with (lam s * h / 2 + lam s * h / 2 + - (lam s * tau s)) by lra.
      rewrite !exp_plus; assert (0 < lam s * h) by now apply Rmult_lt_0_compat.
      pose proof (exp_ineq1_le (lam s * h / 2)); set (x := lam s * h / 2) in *.
      assert (0 < x) by (unfold x; lra).
      assert (x * x < exp x * exp x) by (apply Rmult_gt_0_lt_compat; lra).
      replace (a * h * h) with (kappa s * exp (- (lam s * tau s)) * (x * x))
        by (unfold a, x; field).
      replace (kappa s * (exp x * exp x * exp (- (lam s * tau s))))
        with (kappa s * exp (- (lam s * tau s)) * (exp x * exp x)) by ring.
      apply Rmult_lt_compat_l; assumption. }
    assert (0 < a * h * h) by (apply Rmult_lt_0_compat; [apply Rmult_lt_0_compat |]; assumption).
    set (d := kappa s * exp (lam s * (h - tau s))) in *.
    apply Rmult_lt_reg_r with ((1 + d) * (a * h)).
    { apply Rmult_lt_0_compat; [lra | now apply Rmult_lt_0_compat]. }
    replace (c_max s / (1 + d) * h * ((1 + d) * (a * h))) with (c_max s * (a * h * h))
      by (field; lra).
    replace (c_max s / (a * h) * ((1 + d) * (a * h))) with (c_max s * (1 + d)) by (field; lra).
    apply Rmult_lt_compat_l; lra. }
  apply is_lim_ext_loc with (fun h => softplus (- (coefficient s h * h)) - softplus (- h)).
  { exists (tau s); intros; symmetry; apply dampening_form; [assumption | lra]. }
  assert (is_lim (fun h => coefficient s h * h) p_infty 0) as Lc.
  { apply is_lim_spec; intros eps; pose proof (cond_pos eps).
    exists (Rmax 0 (c_max s / (a * eps))); intros h Hh.
    assert (0 < h /\ c_max s / (a * eps) < h) as [Hh0 Hh1].
    { split; eapply Rle_lt_trans; [apply Rmax_l | eassumption | apply Rmax_r | eassumption]. }
    pose proof (S1_range s ok h); pose proof (Small h Hh0).
    assert (0 <= coefficient s h * h) by (apply Rmult_le_pos; lra).
    rewrite Rminus_0_r, Rabs_right by lra.
    eapply Rlt_trans; [eassumption |].
    apply Rmult_lt_reg_r with (a * h / eps).
    { apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat |]; assumption. }
    replace (c_max s / (a * h) * (a * h / eps)) with (c_max s / (a * eps) * a) by (field; lra).
    replace (eps * (a * h / eps)) with (h * a) by (field; lra).
    now apply Rmult_lt_compat_r. }
  assert (forall x, continuous softplus x) as Cont
    by (intros x; apply (ex_derive_continuous softplus); eexists; apply softplus_derive).
  replace (ln 2) with (softplus (- 0) - 0) by (rewrite Ropp_0, softplus_0; lra).
  apply is_lim_minus'.
  - apply (is_lim_comp_continuous (fun h => - (coefficient s h * h)) softplus); [| apply Cont].
    apply (is_lim_opp (fun h => coefficient s h * h) p_infty 0); exact Lc.
  - apply is_lim_spec; intros eps; pose proof (cond_pos eps).
    exists (- ln eps); intros h Hh; rewrite Rminus_0_r, Rabs_right
      by (left; apply softplus_pos).
    apply Rlt_trans with (exp (- h)).
    + apply exp_lt_inv; unfold softplus; rewrite exp_ln by apply one_plus_exp_pos.
      apply exp_ineq1; apply Rgt_not_eq, exp_pos.
    + rewrite <- (exp_ln eps) by assumption; apply exp_increasing; lra.
Qed.
