(* T1 to T4: where the published weight sends a pair. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk.
Open Scope R_scope.

Notation target s := (effective_target (log_weight_ratio s)).

Section Target.

Variable s : schedule.
Hypothesis ok : valid s.

Lemma log_ratio_cases h :
  log_weight_ratio s h =
    let u := Rabs h in
    let delta :=
      if (if Rltb 0 h then Rltb (tau s) h else Rltb h (- tau s))
      then ln (sigmoid (c s u * u) / sigmoid u) else (c s u - 1) * u in
    if Rltb 0 h then delta else - delta.
Proof.
  unfold log_weight_ratio; cbv zeta.
  rewrite magnitude_abs, flat_excess, flat_coefficient, ratio_stable by assumption; reflexivity.
Qed.

(* The code takes the pieces of log w before it subtracts; the difference is the same. *)
Theorem T1_ratio h : log_weight_ratio s h = ratio_of (log_weight s) h.
Proof.
  destruct ok as (? & ? & ? & ?); unfold ratio_of.
  rewrite log_ratio_cases, !log_weight_cases, Rabs_Ropp by assumption; cbv zeta.
  destruct (Rle_lt_dec h 0) as [Hh | Hh].
  - destruct (Req_dec h 0) as [-> | Hz].
    + rewrite Ropp_0; decide_branches; rewrite Rabs_R0; lra.
    + decide_branches; try lra.
      assert (h = - tau s) as -> by lra.
      rewrite Rabs_Ropp, (Rabs_right (tau s)), c_tau by (try assumption; lra).
      rewrite Rmult_1_l; replace (sigmoid (tau s) / sigmoid (tau s)) with 1
        by (field; apply Rgt_not_eq, sigmoid_pos); rewrite ln_1; lra.
  - decide_branches; try lra.
      assert (h = tau s) as -> by lra.
      rewrite (Rabs_right (tau s)), c_tau by (try assumption; lra).
      rewrite Rmult_1_l; replace (sigmoid (tau s) / sigmoid (tau s)) with 1
        by (field; apply Rgt_not_eq, sigmoid_pos); rewrite ln_1; lra.
Qed.

Theorem T1_unique_target z h_true h : z <> target s h_true h ->
  pair_risk (log_weight s) (target s h_true h) h_true h < pair_risk (log_weight s) z h_true h.
Proof.
  unfold effective_target; rewrite T1_ratio; intros; now apply T1_unique_minimizer.
Qed.

Theorem T1_odd h : log_weight_ratio s (- h) = - log_weight_ratio s h.
Proof. rewrite !T1_ratio; unfold ratio_of; rewrite Ropp_involutive; ring. Qed.

Lemma ratio_inside h : Rabs h <= tau s -> log_weight_ratio s h = (coefficient s h - 1) * h.
Proof.
  destruct ok as (? & ? & ? & ?); intros Hh; rewrite log_ratio_cases, S1_formula by assumption.
  cbv zeta; destruct (Rle_lt_dec h 0).
  - rewrite Rabs_left1 in * by assumption; decide_branches; ring.
  - rewrite Rabs_right in * by lra; decide_branches; ring.
Qed.

Lemma ratio_outside h : tau s <= h ->
  log_weight_ratio s h = ln (sigmoid (coefficient s h * h) / sigmoid h).
Proof.
  destruct ok as (? & ? & ? & ?); intros [Hh | <-].
  - rewrite log_ratio_cases, S1_formula, Rabs_right by (try assumption; lra); cbv zeta.
    decide_branches; reflexivity.
  - rewrite ratio_inside, S1_at_tau, Rmult_1_l by (rewrite ?Rabs_right; try assumption; lra).
    replace (sigmoid (tau s) / sigmoid (tau s)) with 1 by (field; apply Rgt_not_eq, sigmoid_pos).
    rewrite ln_1; ring.
Qed.

(* |h| < tau, any true margin, right or wrong reward model. *)
Theorem T4_shift h_true h : Rabs h <= tau s ->
  target s h_true h = h_true + (coefficient s h - 1) * h.
Proof. intros; unfold effective_target; now rewrite ratio_inside. Qed.

(* An exact reward model: hard pairs are amplified. *)
Theorem T2_target h : Rabs h <= tau s -> target s h h = coefficient s h * h.
Proof. intros; rewrite T4_shift by assumption; ring. Qed.

Theorem T2_amplified h : 0 < h < tau s -> h < target s h h.
Proof.
  intros; rewrite T2_target, S1_formula, Rabs_right by (rewrite ?Rabs_right; try assumption; lra).
  pose proof (c_above s ok h); assert (0 < (c s h - 1) * h) by (apply Rmult_lt_0_compat; lra); lra.
Qed.

(* An exact reward model: what easy pairs get is not c h, and is dampened by less than log 2. *)
Theorem T3_target h : tau s <= h ->
  target s h h = h + ln (sigmoid (coefficient s h * h) / sigmoid h).
Proof. intros; unfold effective_target; now rewrite ratio_outside. Qed.

Lemma ratio_softplus x y : ln (sigmoid x / sigmoid y) = softplus (- y) - softplus (- x).
Proof.
  pose proof (sigmoid_pos x); pose proof (sigmoid_pos y).
  unfold Rdiv; rewrite ln_mult by (first [assumption | apply Rinv_0_lt_compat; assumption]).
  rewrite ln_Rinv, !ln_sigmoid by assumption; ring.
Qed.

Lemma dampening_form h : tau s <= h ->
  h - target s h h = softplus (- (coefficient s h * h)) - softplus (- h).
Proof. intros; rewrite T3_target, ratio_softplus by assumption; ring. Qed.

Theorem T3_dampened h : tau s < h -> target s h h < h.
Proof.
  destruct ok as (? & ? & ? & ?); intros.
  enough (0 < h - target s h h) by lra; rewrite dampening_form by lra.
  enough (softplus (- h) < softplus (- (coefficient s h * h))) by lra.
  apply softplus_increasing; rewrite S1_formula, Rabs_right by (try assumption; lra).
  pose proof (c_below s ok h); assert (0 < (1 - c s h) * h) by (apply Rmult_lt_0_compat; lra); lra.
Qed.

Lemma easy_product h : tau s <= h -> c_min s * tau s <= coefficient s h * h.
Proof.
  destruct ok as (? & ? & ? & ?); intros; pose proof (S1_range s ok h).
  apply Rmult_le_compat; lra.
Qed.

Theorem T3_bound h : tau s <= h -> h - target s h h < ln (1 + exp (- (c_min s * tau s))).
Proof.
  intros; rewrite dampening_form by assumption; pose proof (softplus_pos (- h)).
  pose proof (easy_product h); fold (softplus (- (c_min s * tau s))).
  pose proof (softplus_le (- (coefficient s h * h)) (- (c_min s * tau s))); lra.
Qed.

Theorem T3_log_two : ln (1 + exp (- (c_min s * tau s))) <= ln 2.
Proof.
  destruct ok as (? & ? & ? & ?); rewrite <- softplus_0; apply softplus_le.
  assert (0 <= c_min s * tau s) by (apply Rmult_le_pos; lra); lra.
Qed.

(* The dampened target of the abstract, c h, is lower by more than can be made up. *)
Theorem T3_above_claimed h : tau s <= h -> (1 - coefficient s h) * h >= ln 2 ->
  coefficient s h * h < target s h h.
Proof. intros; pose proof (T3_bound h); pose proof T3_log_two; lra. Qed.

Theorem T3_vanishes : 0 < c_min s -> is_lim (fun h => h - target s h h) p_infty 0.
Proof.
  destruct ok as (? & ? & ? & ?); intros.
  apply is_lim_spec; intros eps; pose proof (cond_pos eps).
  exists (Rmax (tau s) (- ln eps / c_min s)); intros h Hh.
  assert (tau s < h /\ - ln eps / c_min s < h) as [Hh0 Hh1].
  { split; eapply Rle_lt_trans; [apply Rmax_l | eassumption | apply Rmax_r | eassumption]. }
  pose proof (T3_dampened h Hh0); rewrite Rminus_0_r, Rabs_right by lra.
  rewrite dampening_form by lra; pose proof (softplus_pos (- h)).
  enough (softplus (- (coefficient s h * h)) < eps) by lra.
  apply Rlt_trans with (exp (- (coefficient s h * h))).
  - apply exp_lt_inv; unfold softplus; rewrite exp_ln by apply one_plus_exp_pos.
    apply exp_ineq1; apply Rgt_not_eq, exp_pos.
  - rewrite <- (exp_ln eps) by assumption; apply exp_increasing.
    apply (Rmult_lt_compat_l (c_min s)) in Hh1; [| assumption].
    replace (c_min s * (- ln eps / c_min s)) with (- ln eps) in Hh1 by (field; lra).
    pose proof (S1_range s ok h).
    assert (0 < (coefficient s h - c_min s) * h) by (apply Rmult_lt_0_compat; lra); lra.
Qed.

End Target.

(* With c_min = 0 the dampening does not vanish: it tends to log 2. *)
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
