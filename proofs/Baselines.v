(* B1 to B4: where DPO, IPO and beta-DPO send a pair; L5: MADPO with a constant coefficient is DPO
   at another temperature. The losses are the code's, on the two labels that a pair may get. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target.
Open Scope R_scope.

(* The expected loss of a pair with implicit margin m over its Bradley-Terry label: the first
   response is chosen with probability sigma(h), and then its log-ratio leads by m. *)
Definition expected (loss : R -> R -> R -> R -> R) (h m : R) : R :=
  sigmoid h * loss m 0 0 0 + sigmoid (- h) * loss 0 m 0 0.

Definition minimizes (f : R -> R) (m : R) : Prop := forall x, f m <= f x.

Lemma dpo_form beta m : dpo_loss beta m 0 0 0 = softplus (- (beta * m)).
Proof. unfold dpo_loss, softplus; do 4 f_equal; ring. Qed.

Lemma dpo_form_swapped beta m : dpo_loss beta 0 m 0 0 = softplus (beta * m).
Proof. unfold dpo_loss, softplus; do 3 f_equal; ring. Qed.

(* The losses see the log-probabilities through the implicit margin alone. *)
Lemma dpo_invariant beta a b ra rb :
  dpo_loss beta a b ra rb = dpo_loss beta ((a - ra) - (b - rb)) 0 0 0.
Proof. unfold dpo_loss; do 4 f_equal; ring. Qed.

Lemma expected_dpo beta h m :
  expected (dpo_loss beta) h m = pair_risk (fun _ => 0) (beta * m) h h.
Proof.
  unfold expected; rewrite dpo_form, dpo_form_swapped, T1_risk; unfold p, q, weight.
  rewrite exp_0; ring.
Qed.

(* MADPO's loss sees the reward model's margin toward whichever response was chosen. *)
Definition expected_madpo (log_w : R -> R) (beta h_true h m : R) : R :=
  sigmoid h_true * madpo_loss log_w beta h m 0 0 0
  + sigmoid (- h_true) * madpo_loss log_w beta (- h) 0 m 0 0.

Theorem T1_is_the_loss log_w beta h_true h m :
  expected_madpo log_w beta h_true h m = pair_risk log_w (beta * m) h_true h.
Proof.
  unfold expected_madpo; rewrite T1_risk; unfold madpo_loss, p, q, weight, softplus.
  replace (beta * (m - 0 + 0 - 0)) with (beta * m) by ring.
  replace (- (beta * (0 - 0 + 0 - m))) with (beta * m) by ring.
  ring.
Qed.

Lemma minimizes_iff (f : R -> R) a : (forall x, x <> a -> f a < f x) ->
  forall m, minimizes f m <-> m = a.
Proof.
  intros H m; split.
  - intros Hm; destruct (Req_dec m a) as [| Hne]; [assumption |].
    specialize (H m Hne); specialize (Hm a); lra.
  - intros -> x; destruct (Req_dec x a) as [-> | Hne]; [lra | left; now apply H].
Qed.

Lemma risk_minimizer log_w beta h_true h m : 0 < beta ->
  minimizes (fun m => pair_risk log_w (beta * m) h_true h) m
  <-> beta * m = effective_target (ratio_of log_w) h_true h.
Proof.
  intros Hb; set (t := effective_target (ratio_of log_w) h_true h).
  rewrite (minimizes_iff _ (t / beta)).
  - split; [intros ->; field; lra | intros <-; field; lra].
  - intros x Hx; replace (beta * (t / beta)) with t by (field; lra).
    apply T1_unique_minimizer; fold t; intros E; apply Hx; rewrite <- E; field; lra.
Qed.

(* MADPO's loss, minimized over the implicit margin: beta m is the effective target. *)
Theorem T1_loss_minimizer s beta h_true h m : valid s -> 0 < beta ->
  minimizes (expected_madpo (log_weight s) beta h_true h) m
  <-> beta * m = effective_target (log_weight_ratio s) h_true h.
Proof.
  intros ok Hb; unfold effective_target; rewrite T1_ratio by assumption.
  rewrite <- (risk_minimizer (log_weight s) beta h_true h m Hb).
  unfold minimizes; setoid_rewrite T1_is_the_loss; reflexivity.
Qed.

(* DPO's target is the true margin; a label that is certain has none. *)
Theorem B1_target beta h m : 0 < beta ->
  minimizes (expected (dpo_loss beta) h) m <-> beta * m = dpo_target h.
Proof.
  intros Hb; replace (dpo_target h) with (effective_target (ratio_of (fun _ => 0)) h h)
    by (unfold effective_target, ratio_of, dpo_target; ring).
  rewrite <- risk_minimizer by assumption.
  unfold minimizes; setoid_rewrite expected_dpo; reflexivity.
Qed.

Theorem B1_certain beta : 0 < beta -> forall m, ~ minimizes (fun m => dpo_loss beta m 0 0 0) m.
Proof.
  intros Hb m Hm; specialize (Hm (m + 1)); cbv beta in Hm; rewrite !dpo_form in Hm.
  pose proof (softplus_increasing (- (beta * (m + 1))) (- (beta * m))).
  assert (beta * (m + 1) = beta * m + beta) by ring; lra.
Qed.

(* IPO's target is tanh(h/2)/(2 beta), bounded however large the margin. *)
Lemma tanh_sigmoid h : tanh (1 / 2 * h) = sigmoid h - sigmoid (- h).
Proof.
  rewrite sigmoid_opp; unfold tanh, sinh, cosh, sigmoid.
  assert (exp (- (1 / 2 * h)) <> 0) by apply Rgt_not_eq, exp_pos.
  assert (exp (- h) = exp (- (1 / 2 * h)) * exp (- (1 / 2 * h))) as ->
    by (rewrite <- exp_plus; f_equal; lra).
  assert (exp (1 / 2 * h) = / exp (- (1 / 2 * h))) as ->
    by (rewrite exp_Ropp, Rinv_inv; reflexivity).
  pose proof (exp_pos (- (1 / 2 * h))); set (e := exp (- (1 / 2 * h))) in *.
  assert (0 < e * e) by now apply Rmult_lt_0_compat.
  field; lra.
Qed.

Lemma expected_ipo beta h m : 0 < beta ->
  expected (ipo_loss beta) h m
  = (m - ipo_target beta h) ^ 2 + ((1 / 2 / beta) ^ 2 - ipo_target beta h ^ 2).
Proof.
  intros; unfold expected, ipo_loss, ipo_target; rewrite tanh_sigmoid, sigmoid_opp; field; lra.
Qed.

Theorem B2_target beta h m : 0 < beta ->
  minimizes (expected (ipo_loss beta) h) m <-> m = ipo_target beta h.
Proof.
  intros; apply minimizes_iff; intros x Hx; rewrite !expected_ipo by assumption.
  assert (0 < (x - ipo_target beta h) ^ 2); [| lra].
  apply pow2_gt_0; lra.
Qed.

Theorem B2_formula beta h : ipo_target beta h = tanh (h / 2) / (2 * beta).
Proof.
  unfold ipo_target; replace (1 / 2 * h) with (h / 2) by lra; unfold Rdiv.
  rewrite Rinv_mult; ring.
Qed.

Theorem B2_bound beta h : 0 < beta -> Rabs (ipo_target beta h) < 1 / (2 * beta).
Proof.
  intros; unfold ipo_target; rewrite tanh_sigmoid, sigmoid_opp.
  pose proof (sigmoid_pos h); pose proof (sigmoid_lt_1 h).
  assert (0 < / beta) by now apply Rinv_0_lt_compat.
  replace (1 / (2 * beta)) with (1 / 2 * / beta) by (field; lra); unfold Rdiv.
  rewrite Rabs_mult, (Rabs_right (/ beta)) by lra.
  apply Rmult_lt_compat_r; [assumption | apply Rabs_def1; lra].
Qed.

(* beta-DPO: when the temperature of a batch is negative, and what it does then. *)
Theorem B3_sign beta alpha running mean : 0 < beta -> 0 < alpha ->
  beta_dpo_beta beta alpha running mean < 0 <-> mean < running - 1 / alpha.
Proof.
  intros Hb Ha; unfold beta_dpo_beta.
  replace (beta * (alpha * (mean - running) + 1))
    with (beta * alpha * (mean - (running - 1 / alpha))) by (field; lra).
  assert (0 < beta * alpha) by now apply Rmult_lt_0_compat.
  split; intros Hs.
  - apply Rnot_le_lt; intros Hm.
    assert (0 <= beta * alpha * (mean - (running - 1 / alpha))) by (apply Rmult_le_pos; lra); lra.
  - assert (0 < beta * alpha * - (mean - (running - 1 / alpha)))
      by (apply Rmult_lt_0_compat; lra); lra.
Qed.

(* Descent on a loss with a negative temperature lowers the margin of the chosen response. *)
Theorem B3_wrong_way beta m m' : beta < 0 -> m < m' ->
  dpo_loss beta m 0 0 0 < dpo_loss beta m' 0 0 0.
Proof.
  intros; rewrite !dpo_form; apply softplus_increasing.
  assert (0 < - beta * (m' - m)) by (apply Rmult_lt_0_compat; lra); lra.
Qed.

(* Within a batch the optimal margins are as the true ones, whatever its temperature. *)
Theorem B4_proportional beta h1 h2 m1 m2 : 0 < beta ->
  minimizes (expected (dpo_loss beta) h1) m1 -> minimizes (expected (dpo_loss beta) h2) m2 ->
  m1 * h2 = m2 * h1.
Proof.
  intros Hb H1 H2; apply B1_target in H1, H2; try assumption; unfold dpo_target in *.
  subst; ring.
Qed.

(* A weight whose coefficient is rho at this margin: MADPO(beta) has DPO(beta/rho)'s optimum. *)
Theorem L5_temperature log_w rho beta h m : 0 < beta -> 0 < rho ->
  ratio_of log_w h = (rho - 1) * h ->
  minimizes (expected_madpo log_w beta h h) m <-> minimizes (expected (dpo_loss (beta / rho)) h) m.
Proof.
  intros Hb Hr Hw.
  assert (0 < beta / rho) by now apply Rdiv_lt_0_compat.
  rewrite B1_target by assumption; unfold dpo_target.
  transitivity (beta * m = rho * h).
  - replace (rho * h) with (effective_target (ratio_of log_w) h h)
      by (unfold effective_target; rewrite Hw; ring).
    rewrite <- risk_minimizer by assumption.
    unfold minimizes; setoid_rewrite T1_is_the_loss; reflexivity.
  - split; intros E.
    + replace (beta / rho * m) with (beta * m / rho) by (field; lra); rewrite E; field; lra.
    + rewrite <- E; field; lra.
Qed.

(* The weight sigma(rho h)/sigma(h) of a constant coefficient is one; *)
Theorem L5_constant rho h :
  ratio_of (fun h => ln (sigmoid (rho * h) / sigmoid h)) h = (rho - 1) * h.
Proof.
  unfold ratio_of; replace (rho * - h) with (- (rho * h)) by ring.
  rewrite !ratio_softplus, !Ropp_involutive.
  assert (forall x, softplus x = softplus (- x) + x) as Odds.
  { intros x; unfold softplus.
    replace (1 + exp x) with (exp x * (1 + exp (- x)))
      by (rewrite Rmult_plus_distr_l, <- exp_plus, Rplus_opp_r, exp_0; ring).
    rewrite ln_mult, ln_exp by (try apply exp_pos; apply one_plus_exp_pos); ring. }
  rewrite (Odds h), (Odds (rho * h)); ring.
Qed.

(* and so is the published one, for all pairs with margins of one size below tau. *)
Theorem L5_published s beta h m : valid s -> 0 < beta -> Rabs h <= tau s ->
  minimizes (expected_madpo (log_weight s) beta h h) m
  <-> minimizes (expected (dpo_loss (beta / coefficient s h)) h) m.
Proof.
  intros ok Hb Hh; apply L5_temperature; try assumption.
  - pose proof ok as (? & ? & ? & ?); pose proof (S1_range s ok h); lra.
  - now rewrite <- T1_ratio, ratio_inside.
Qed.

(* The coefficient is constant in the limits tau to infinity (c_max) and lam = 0 (1: DPO). *)
Theorem L5_flat cm cn t h : cn < 1 -> 1 < cm -> coefficient (Schedule cm cn 0 t) h = 1.
Proof. intros; unfold coefficient; simpl; rewrite Rmult_0_l, exp_0; field; lra. Qed.

Theorem L5_late cm cn l h : 0 <= cn < 1 -> 1 < cm -> 0 < l ->
  is_lim (fun t => coefficient (Schedule cm cn l t) h) p_infty cm.
Proof.
  intros; apply is_lim_spec; intros eps; pose proof (cond_pos eps).
  set (k := (cm - 1) / (1 - cn)); assert (0 < k) by (apply Rdiv_lt_0_compat; lra).
  assert (0 < (cm - cn) * k) by (apply Rmult_lt_0_compat; lra).
  set (b := eps / ((cm - cn) * k)); assert (0 < b) by now apply Rdiv_lt_0_compat.
  exists (Rmax 0 (Rabs h - ln b / l)); intros t Ht.
  assert (0 < t /\ Rabs h - ln b / l < t) as [Ht0 Ht1].
  { split; eapply Rle_lt_trans; [apply Rmax_l | eassumption | apply Rmax_r | eassumption]. }
  assert (valid (Schedule cm cn l t)) as ok by (unfold valid; simpl; lra).
  rewrite (S1_formula _ ok); pose proof (c_range _ ok (Rabs h)) as Hr; simpl in Hr.
  rewrite Rabs_left by lra; unfold c, kappa; simpl; fold k.
  set (e := exp (l * (Rabs h - t))).
  assert (0 < e < b) as [He Hb].
  { split; [apply exp_pos |].
    rewrite <- (exp_ln b) by assumption; apply exp_increasing.
    apply (Rmult_lt_compat_l l) in Ht1; [| assumption].
    replace (l * (Rabs h - ln b / l)) with (l * Rabs h - ln b) in Ht1 by (field; lra); lra. }
  assert (0 < k * e) by now apply Rmult_lt_0_compat.
  replace (- (cn + (cm - cn) / (1 + k * e) - cm)) with ((cm - cn) * k * e / (1 + k * e))
    by (field; lra).
  apply Rmult_lt_reg_r with (1 + k * e); [lra |].
  unfold Rdiv; rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  apply Rlt_le_trans with ((cm - cn) * k * b).
  - now apply Rmult_lt_compat_l.
  - replace ((cm - cn) * k * b) with (eps * 1) by (unfold b; field; lra).
    apply Rmult_le_compat_l; lra.
Qed.
