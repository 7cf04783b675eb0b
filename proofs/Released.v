(* The numbers of the released schedule, with interval bounds: the largest shift D of a target (R2),
   what a nat of reward-model error costs at most, L (R1), and the range of the weight (S3). *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target.
Open Scope R_scope.

(* Beyond 53 bits `interval` computes with integers of its own and not with the processor's floating
   numbers, whose specification would be an axiom. *)
Ltac by_interval := interval with (i_prec 64).

(* A bounded slope is a Lipschitz constant. *)
Lemma slope_lipschitz (f g : R -> R) a b L :
  (forall x, a <= x <= b -> is_derive f x (g x)) -> (forall x, a <= x <= b -> Rabs (g x) <= L) ->
  forall x y, a <= x <= b -> a <= y <= b -> Rabs (f y - f x) <= L * Rabs (y - x).
Proof.
  intros Hf Hg.
  assert (forall x y, a <= x <= b -> a <= y <= b -> x < y ->
    Rabs (f y - f x) <= L * Rabs (y - x)) as Ordered.
  { intros x y Hx Hy Hxy; destruct (MVT_cor2 f g x y Hxy) as (w & -> & ?).
    - intros; apply is_derive_Reals, Hf; lra.
    - rewrite Rabs_mult; apply Rmult_le_compat_r; [apply Rabs_pos | apply Hg; lra]. }
  intros x y Hx Hy; destruct (Rtotal_order x y) as [H | [-> | H]].
  - now apply Ordered.
  - rewrite !Rminus_eq_0, Rabs_R0; lra.
  - rewrite (Rabs_minus_sym (f y)), (Rabs_minus_sym y); now apply Ordered.
Qed.

Lemma released_valid : valid released.
Proof. unfold valid, released; simpl; repeat split; try lra; by_interval. Qed.

Definition c_released u := 1 / 2 + (2 - 1 / 2) / (1 + 2 * exp (u - ln 999)).

Lemma c_released_form u : c released u = c_released u.
Proof.
  unfold c, kappa, released, c_released; simpl.
  rewrite Rmult_1_l; repeat f_equal; lra.
Qed.

Lemma ratio_hard u : 0 <= u <= ln 999 -> log_weight_ratio released u = (c_released u - 1) * u.
Proof.
  intros; pose proof released_valid as ok.
  rewrite ratio_inside, S1_formula, c_released_form, Rabs_right
    by (rewrite ?Rabs_right; simpl; try assumption; lra); reflexivity.
Qed.

Lemma influence_hard u : 0 <= u <= ln 999 -> Rabs ((c_released u - 1) * u) <= 3.47469.
Proof.
  intros; unfold c_released; interval with (i_prec 64, i_bisect u, i_taylor u, i_degree 6).
Qed.

(* D = sup |delta| of the released schedule, to 1e-5. *)
Theorem R2_released_upper h : Rabs (log_weight_ratio released h) <= 3.47469.
Proof.
  pose proof released_valid as ok.
  assert (forall h, 0 <= h -> Rabs (log_weight_ratio released h) <= 3.47469) as Right.
  { intros u Hu; destruct (Rle_lt_dec u (ln 999)) as [Hh | Hh].
    - rewrite ratio_hard by lra; apply influence_hard; lra.
    - pose proof (T3_bound _ ok u) as Hb; pose proof (T3_dampened _ ok u Hh).
      unfold effective_target in *; simpl in Hb; rewrite Rabs_left by lra.
      assert (ln (1 + exp (- (1 / 2 * ln 999))) <= 0.04) by by_interval; lra. }
  destruct (Rle_lt_dec 0 h); [now apply Right |].
  rewrite <- (Ropp_involutive h), T1_odd, Rabs_Ropp by assumption; apply Right; lra.
Qed.

Theorem R2_released_lower : exists h, 3.47468 <= log_weight_ratio released h.
Proof.
  exists 4.39366; rewrite ratio_hard by (split; by_interval); unfold c_released; by_interval.
Qed.

(* L = sup |delta'| of the released schedule: the slope on either side of tau, and its bound. *)

Definition slope_hard u :=
  c_released u - 1 - u * ((c_released u - 1 / 2) * (2 - c_released u) / (3 / 2)).

Lemma c_released_derive u :
  is_derive c_released u (- ((c_released u - 1 / 2) * (2 - c_released u) / (3 / 2))).
Proof.
  unfold c_released; auto_derive; pose proof (exp_pos (u + - ln 999)); [lra |].
  change (u - ln 999) with (u + - ln 999); field; lra.
Qed.

Lemma hard_derive u : is_derive (fun u => (c_released u - 1) * u) u (slope_hard u).
Proof.
  pose proof (c_released_derive u) as Hc.
  auto_derive; [repeat split; eexists; exact Hc |].
  replace (Derive (fun x => c_released x) u)
    with (- ((c_released u - 1 / 2) * (2 - c_released u) / (3 / 2)))
    by (symmetry; apply is_derive_unique, Hc).
  unfold slope_hard; lra.
Qed.

Lemma slope_hard_bound u : 0 <= u <= ln 999 -> Rabs (slope_hard u) <= 2.306767.
Proof.
  intros; unfold slope_hard, c_released.
  interval with (i_prec 64, i_bisect u, i_taylor u, i_degree 6).
Qed.

Definition slope_easy u :=
  sigmoid (- (c_released u * u))
    * (c_released u - u * ((c_released u - 1 / 2) * (2 - c_released u) / (3 / 2)))
  - sigmoid (- u).

Lemma easy_derive u :
  is_derive (fun u => softplus (- u) - softplus (- (c_released u * u))) u (slope_easy u).
Proof.
  pose proof (c_released_derive u) as Hc.
  assert (is_derive (fun u => softplus (- u)) u (- sigmoid (- u))) as Hs.
  { evar_last; [apply (is_derive_comp softplus (fun u => - u)); [apply softplus_derive |] |].
    - assert (is_derive (fun u : R => - u) u (- 1)) as Ho by (auto_derive; auto); exact Ho.
    - unfold scal; simpl; unfold mult; simpl; ring. }
  set (dc := - ((c_released u - 1 / 2) * (2 - c_released u) / (3 / 2))) in Hc.
  assert (is_derive (fun u => - (c_released u * u)) u (- (dc * u + c_released u))) as Hp.
  { auto_derive; [repeat split; eexists; exact Hc |].
    replace (Derive (fun x => c_released x) u) with dc
      by (symmetry; apply is_derive_unique, Hc); ring. }
  evar_last.
  - apply (is_derive_minus (fun u => softplus (- u)) (fun u => softplus (- (c_released u * u))));
      [exact Hs |].
    apply (is_derive_comp softplus (fun u => - (c_released u * u))); [apply softplus_derive |].
    exact Hp.
  - unfold slope_easy, scal, minus, plus, opp, dc; simpl; unfold mult; simpl; ring.
Qed.

Lemma exp_half_bound u : u * exp (- (u / 2)) <= 2.
Proof.
  pose proof (exp_ineq1_le (u / 2)); pose proof (exp_pos (- (u / 2))).
  assert (exp (u / 2) * exp (- (u / 2)) = 1) as E
    by (rewrite <- exp_plus; replace (u / 2 + - (u / 2)) with 0 by lra; apply exp_0).
  assert (u * exp (- (u / 2)) <= 2 * exp (u / 2) * exp (- (u / 2)))
    by (apply Rmult_le_compat_r; lra).
  lra.
Qed.

Lemma sigmoid_below_exp x : sigmoid x <= exp x.
Proof.
  rewrite sigmoid_odds_mult; pose proof (exp_pos x); pose proof (sigmoid_lt_1 (- x)).
  rewrite <- (Rmult_1_r (exp x)) at 2; apply Rmult_le_compat_l; lra.
Qed.

Lemma slope_easy_bound u : ln 999 <= u -> Rabs (slope_easy u) <= 2.306767.
Proof.
  intros Hu; pose proof released_valid as ok.
  assert (6.9 <= ln 999) by by_interval.
  pose proof (c_range released ok u) as Hr; rewrite c_released_form in Hr; simpl in Hr.
  assert (c_released u <= 1) as H1.
  { rewrite <- c_released_form; destruct Hu as [Hu | <-].
    - left; apply (c_below released ok); exact Hu.
    - right; apply (c_tau released ok). }
  set (k := c_released u) in *.
  assert (0 <= (k - 1 / 2) * (2 - k) / (3 / 2) <= 1 / 2) as Hd.
  { assert (0 <= (k - 1 / 2) * (2 - k) <= 1 / 2 * (3 / 2)); [| lra].
    split; [apply Rmult_le_pos | apply Rmult_le_compat]; lra. }
  set (d := (k - 1 / 2) * (2 - k) / (3 / 2)) in *.
  assert (sigmoid (- (k * u)) <= exp (- (u / 2))) as Hs.
  { eapply Rle_trans; [apply sigmoid_below_exp | apply exp_le].
    assert (0 <= (k - 1 / 2) * u) by (apply Rmult_le_pos; lra); lra. }
  pose proof (sigmoid_pos (- (k * u))); pose proof (exp_half_bound u).
  pose proof (sigmoid_pos (- u)).
  assert (sigmoid (- u) <= 0.01) as Hsmall.
  { eapply Rle_trans; [apply sigmoid_below_exp |].
    eapply Rle_trans; [apply (exp_le _ (- (6.9))); lra | by_interval]. }
  assert (exp (- (u / 2)) <= 0.04).
  { eapply Rle_trans; [apply (exp_le _ (- (3.45))); lra | by_interval]. }
  assert (0 <= sigmoid (- (k * u)) * k <= 0.04 * 1)
    by (split; [apply Rmult_le_pos | apply Rmult_le_compat]; lra).
  assert (0 <= sigmoid (- (k * u)) * (u * d)) by (repeat apply Rmult_le_pos; lra).
  assert (sigmoid (- (k * u)) * (u * d) <= 1).
  { replace (sigmoid (- (k * u)) * (u * d)) with (u * sigmoid (- (k * u)) * d) by ring.
    replace 1 with (2 * (1 / 2)) by lra; apply Rmult_le_compat; try lra.
    - apply Rmult_le_pos; lra.
    - eapply Rle_trans; [apply Rmult_le_compat_l; [lra | exact Hs] | assumption]. }
  unfold slope_easy; fold k d; rewrite Rmult_minus_distr_l; apply Rabs_le; lra.
Qed.

Lemma ratio_easy u : ln 999 <= u ->
  log_weight_ratio released u = softplus (- u) - softplus (- (c_released u * u)).
Proof.
  intros; pose proof released_valid as ok; assert (0 < ln 999) by by_interval.
  rewrite ratio_outside, ratio_softplus, S1_formula, c_released_form, Rabs_right
    by (try assumption; lra); reflexivity.
Qed.

Lemma lipschitz_hard x y : 0 <= x <= ln 999 -> 0 <= y <= ln 999 ->
  Rabs (log_weight_ratio released y - log_weight_ratio released x) <= 2.306767 * Rabs (y - x).
Proof.
  intros Hx Hy; rewrite !ratio_hard by assumption.
  apply (slope_lipschitz (fun u => (c_released u - 1) * u) slope_hard 0 (ln 999)); try assumption.
  - intros; apply hard_derive.
  - apply slope_hard_bound.
Qed.

Lemma lipschitz_easy x y : ln 999 <= x -> ln 999 <= y ->
  Rabs (log_weight_ratio released y - log_weight_ratio released x) <= 2.306767 * Rabs (y - x).
Proof.
  intros Hx Hy; rewrite !ratio_easy by assumption.
  pose proof (Rmax_l x y); pose proof (Rmax_r x y).
  apply (slope_lipschitz (fun u => softplus (- u) - softplus (- (c_released u * u))) slope_easy
           (ln 999) (Rmax x y)); try lra.
  - intros; apply easy_derive.
  - intros; apply slope_easy_bound; lra.
Qed.

(* Three points in order: the constant of either side is that of both. *)
Lemma lipschitz_joined (f : R -> R) L a x y : x <= a <= y ->
  Rabs (f a - f x) <= L * Rabs (a - x) -> Rabs (f y - f a) <= L * Rabs (y - a) ->
  Rabs (f y - f x) <= L * Rabs (y - x).
Proof.
  intros H H1 H2; replace (f y - f x) with ((f y - f a) + (f a - f x)) by ring.
  eapply Rle_trans; [apply Rabs_triang |].
  rewrite (Rabs_right (a - x)) in H1 by lra; rewrite (Rabs_right (y - a)) in H2 by lra.
  rewrite (Rabs_right (y - x)) by lra; lra.
Qed.

Lemma lipschitz_right x y : 0 <= x <= y ->
  Rabs (log_weight_ratio released y - log_weight_ratio released x) <= 2.306767 * Rabs (y - x).
Proof.
  intros H; destruct (Rle_lt_dec y (ln 999)); [apply lipschitz_hard; lra |].
  destruct (Rle_lt_dec (ln 999) x); [apply lipschitz_easy; lra |].
  apply lipschitz_joined with (ln 999);
    [lra | apply lipschitz_hard; lra | apply lipschitz_easy; lra].
Qed.

Lemma lipschitz_left x y : x <= y <= 0 ->
  Rabs (log_weight_ratio released y - log_weight_ratio released x) <= 2.306767 * Rabs (y - x).
Proof.
  intros H; pose proof (lipschitz_right (- y) (- x)) as Hr.
  rewrite !T1_odd in Hr by exact released_valid.
  replace (- log_weight_ratio released x - - log_weight_ratio released y)
    with (log_weight_ratio released y - log_weight_ratio released x) in Hr by ring.
  replace (- x - - y) with (y - x) in Hr by ring; apply Hr; lra.
Qed.

(* The shift of a target moves by at most L times the reward model's error, wherever it is. *)
Theorem R1_released h_true x y :
  Rabs (target released h_true y - target released h_true x) <= 2.306767 * Rabs (y - x).
Proof.
  unfold effective_target.
  replace (h_true + log_weight_ratio released y - (h_true + log_weight_ratio released x))
    with (log_weight_ratio released y - log_weight_ratio released x) by ring.
  assert (forall x y, x <= y ->
    Rabs (log_weight_ratio released y - log_weight_ratio released x) <= 2.306767 * Rabs (y - x))
    as Ordered.
  { intros u v H; destruct (Rle_lt_dec 0 u); [apply lipschitz_right; lra |].
    destruct (Rle_lt_dec v 0); [apply lipschitz_left; lra |].
    apply lipschitz_joined with 0;
      [lra | apply lipschitz_left; lra | apply lipschitz_right; lra]. }
  destruct (Rle_lt_dec x y); [now apply Ordered |].
  rewrite (Rabs_minus_sym (log_weight_ratio released y)), (Rabs_minus_sym y).
  apply Ordered; lra.
Qed.

(* No smaller constant than this will do. *)
Theorem R1_released_tight L :
  (forall x y, Rabs (log_weight_ratio released y - log_weight_ratio released x)
                 <= L * Rabs (y - x)) -> 2.30676 <= L.
Proof.
  intros H; specialize (H 6.816 6.82).
  assert (6.82 <= ln 999) by by_interval.
  rewrite !ratio_hard, (Rabs_right (6.82 - 6.816)) in H by lra.
  pose proof (Rle_abs (- ((c_released 6.82 - 1) * 6.82 - (c_released 6.816 - 1) * 6.816))) as Ha.
  rewrite Rabs_Ropp in Ha.
  assert ((c_released 6.82 - 1) * 6.82 - (c_released 6.816 - 1) * 6.816 <= - 0.00922704)
    by (unfold c_released; by_interval).
  lra.
Qed.

(* S3 in numbers: the released weight lies in [0.0313, 1.2062]. *)

Lemma published_released h : - ln 999 < h -> Rabs h <= ln 999 ->
  weight (log_weight released) h
  = (1 + exp (- h)) / (1 + exp (- (c_released (Rabs h) * h))).
Proof.
  intros; pose proof released_valid as ok.
  rewrite S2_published, S1_formula, c_released_form by assumption.
  unfold sigmoid; pose proof (one_plus_exp_pos (- h)).
  pose proof (one_plus_exp_pos (- (c_released (Rabs h) * h))); field; lra.
Qed.

Theorem S3_released h : 0.0313 <= weight (log_weight released) h <= 1.2062.
Proof.
  pose proof released_valid as ok; assert (6.9 <= ln 999 <= 6.91) as Ht by (split; by_interval).
  destruct (Rle_lt_dec h (- ln 999)) as [Hl | Hl].
  { rewrite S2_disputed by assumption; lra. }
  destruct (Rle_lt_dec h 0) as [H0 | H0].
  - rewrite published_released, Rabs_left1 by (rewrite ?Rabs_left1; lra).
    replace h with (- - h) by ring; set (u := - h) in *; rewrite !Ropp_involutive.
    assert (0 <= u <= ln 999) by (unfold u; lra); clearbody u; clear - H.
    unfold c_released; split; interval with (i_prec 64, i_bisect u, i_taylor u, i_degree 5).
  - destruct (Rle_lt_dec h (ln 999)) as [Hr | Hr].
    + rewrite published_released, Rabs_right by (rewrite ?Rabs_right; lra).
      assert (0 <= h <= ln 999) as H by lra; clear - H.
      unfold c_released; split; interval with (i_prec 64, i_bisect h, i_taylor h, i_degree 5).
    + rewrite S2_published by assumption.
      pose proof (sigmoid_lt_1 h); pose proof (sigmoid_pos h).
      pose proof (S1_range released ok h) as Hc; simpl in Hc.
      assert (1 / 2 < sigmoid (coefficient released h * h)).
      { rewrite <- sigmoid_0; apply sigmoid_increasing, Rmult_lt_0_compat; lra. }
      assert (sigmoid (coefficient released h * h) < sigmoid h).
      { apply sigmoid_increasing; rewrite S1_formula, Rabs_right by (try assumption; lra).
        pose proof (c_below released ok h Hr).
        assert (0 < (1 - c released h) * h) by (apply Rmult_lt_0_compat; lra); lra. }
      split; [apply Rmult_le_reg_r with (sigmoid h) | apply Rmult_le_reg_r with (sigmoid h)];
        try assumption; unfold Rdiv; rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra; lra.
Qed.
