(* C1 to C6: the calculus of targets. A loss is w [q l(b z - g) + (1 - q) l(-(b z - g))] with
   l(x) = ln (1 + e^-x): whatever its weight w, label q, offset g and temperature b do with the
   reward model's margin h, the risk of a pair has one minimizer, in closed form. *)

From Coq Require Import Reals Lra FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target Baselines.
Open Scope R_scope.

(* A function falls to a and rises from there, with a slope of that sign; so a is its one minimizer
   and its one stationary point. *)
Definition unique_minimizer (f : R -> R) (a : R) : Prop :=
  (forall x, exists slope, is_derive f x slope
    /\ (slope < 0 <-> x < a) /\ (0 < slope <-> a < x)) /\
  forall x, x <> a -> f a < f x.

Lemma minimizer_unique f a c : unique_minimizer f a -> unique_minimizer f c -> a = c.
Proof.
  intros [_ Ha] [_ Hc]; destruct (Req_dec a c) as [| Hne]; [assumption | exfalso].
  specialize (Ha c (not_eq_sym Hne)); specialize (Hc a Hne); lra.
Qed.

Lemma minimizer_stationary f a : unique_minimizer f a -> is_derive f a 0.
Proof. intros [H _]; destruct (H a) as (s & Hs & ? & ?); replace 0 with s by lra; exact Hs. Qed.

Lemma sign_change (f g : R -> R) a : (forall x, is_derive f x (g x)) -> g a = 0 ->
  (forall x, x < a -> g x < 0) -> (forall x, a < x -> 0 < g x) -> unique_minimizer f a.
Proof.
  intros Hf H0 Hl Hr; split.
  { intros x; exists (g x); split; [apply Hf |]; specialize (Hl x); specialize (Hr x).
    destruct (Rtotal_order x a) as [H | [-> | H]]; lra. }
  intros x Hx; destruct (Rtotal_order x a) as [H | [H | H]]; [| contradiction |].
  - destruct (mean_value f g Hf x a H) as (w & E & ? & ?); specialize (Hl w).
    assert (0 < - g w * (a - x)) by (apply Rmult_lt_0_compat; lra); lra.
  - destruct (mean_value f g Hf a x H) as (w & E & ? & ?); specialize (Hr w).
    assert (0 < g w * (x - a)) by (apply Rmult_lt_0_compat; lra); lra.
Qed.

(* The risk in y = b z - g_o: four masses, moved by the even part of the offset. *)
Section Core.

Variables a1 a2 b1 b2 e : R.

Definition core (y : R) : R :=
  a1 * softplus (e - y) + a2 * softplus (y - e) + b1 * softplus (y + e) + b2 * softplus (- y - e).

Definition core_slope (y : R) : R :=
  a2 * sigmoid (y - e) - a1 * sigmoid (e - y) + b1 * sigmoid (y + e) - b2 * sigmoid (- y - e).

Lemma core_derive y : is_derive core y (core_slope y).
Proof.
  unfold core, softplus; auto_derive; [repeat split; apply one_plus_exp_pos |].
  unfold core_slope; rewrite !sigmoid_exp; unfold Rminus.
  pose proof (one_plus_exp_pos (e + - y)); pose proof (one_plus_exp_pos (y + - e)).
  pose proof (one_plus_exp_pos (y + e)); pose proof (one_plus_exp_pos (- y + - e)).
  field; lra.
Qed.

(* In e^y the slope has the sign of a quadratic. *)
Lemma core_quadratic y : core_slope y
  = exp e / ((exp y + exp e) * (1 + exp y * exp e))
    * ((a2 + b1) * exp y ^ 2 + ((b1 - a1) * exp e + (a2 - b2) / exp e) * exp y - (a1 + b2)).
Proof.
  unfold core_slope; rewrite !sigmoid_exp; unfold Rminus; rewrite !exp_plus, !exp_opp.
  pose proof (exp_pos y); pose proof (exp_pos e).
  assert (0 < exp y * exp e) by now apply Rmult_lt_0_compat.
  field; repeat split; lra.
Qed.

Lemma core_minimizer k r s : 0 < k -> a1 + b2 = k * exp r -> a2 + b1 = k * exp (- r) ->
  (a1 - b1) * exp e + (b2 - a2) / exp e = 2 * k * s -> unique_minimizer core (r + arcsinh s).
Proof.
  intros Hk HP HQ HN.
  assert (forall y, exists c, 0 < c /\ core_slope y = c * (sinh (y - r) - s)) as Sign.
  { intros y; pose proof (exp_pos y); pose proof (exp_pos e); pose proof (exp_pos r).
    assert (0 < exp y * exp e) by now apply Rmult_lt_0_compat.
    exists (exp e / ((exp y + exp e) * (1 + exp y * exp e)) * (2 * k * exp y)); split.
    { apply Rmult_lt_0_compat; [apply Rdiv_lt_0_compat |];
        repeat apply Rmult_lt_0_compat; lra. }
    rewrite core_quadratic, HP, HQ.
    replace ((b1 - a1) * exp e + (a2 - b2) / exp e) with (- (2 * k * s))
      by (rewrite <- HN; field; lra).
    assert (sinh (y - r) = (exp y / exp r - exp r / exp y) / 2) as ->.
    { unfold sinh; rewrite Ropp_minus_distr; unfold Rminus, Rdiv.
      rewrite !exp_plus, !exp_opp; ring. }
    rewrite exp_opp; field; repeat split; lra. }
  assert (sinh (r + arcsinh s - r) = s) as Root
    by (replace (r + arcsinh s - r) with (arcsinh s) by ring; apply sinh_arcsinh).
  apply sign_change with core_slope; [exact core_derive | | |].
  - destruct (Sign (r + arcsinh s)) as (c & ? & ->); rewrite Root; ring.
  - intros x Hx; destruct (Sign x) as (c & ? & ->).
    pose proof (sinh_lt (x - r) (r + arcsinh s - r)).
    assert (0 < c * (s - sinh (x - r))) by (apply Rmult_lt_0_compat; lra); lra.
  - intros x Hx; destruct (Sign x) as (c & ? & ->).
    pose proof (sinh_lt (r + arcsinh s - r) (x - r)); apply Rmult_lt_0_compat; lra.
Qed.

Lemma core_convex : 0 <= a1 -> 0 <= a2 -> 0 <= b1 -> 0 <= b2 -> 0 < a1 + b2 ->
  strictly_convex core.
Proof.
  intros Ha1 Ha2 Hb1 Hb2 HP; apply increasing_slope_convex with core_slope; [exact core_derive |].
  intros x y Hxy; unfold core_slope.
  pose proof (sigmoid_increasing (x - e) (y - e) ltac:(lra)).
  pose proof (sigmoid_increasing (e - y) (e - x) ltac:(lra)).
  pose proof (sigmoid_increasing (x + e) (y + e) ltac:(lra)).
  pose proof (sigmoid_increasing (- y - e) (- x - e) ltac:(lra)).
  assert (0 <= a2 * (sigmoid (y - e) - sigmoid (x - e))) by (apply Rmult_le_pos; lra).
  assert (0 <= b1 * (sigmoid (y + e) - sigmoid (x + e))) by (apply Rmult_le_pos; lra).
  set (u := sigmoid (e - x) - sigmoid (e - y)); set (v := sigmoid (- x - e) - sigmoid (- y - e)).
  assert (0 < a1 * u + b2 * v); [| unfold u, v in *; lra].
  assert (0 <= a1 * u /\ 0 <= b2 * v) as [? ?] by (unfold u, v; split; apply Rmult_le_pos; lra).
  destruct (Rlt_le_dec 0 a1).
  - assert (0 < a1 * u) by (apply Rmult_lt_0_compat; unfold u; lra); lra.
  - assert (0 < b2 * v) by (apply Rmult_lt_0_compat; unfold v; lra); lra.
Qed.

End Core.

(* Without an even offset the masses count in two sums. *)
Lemma core_even a1 a2 b1 b2 : core a1 a2 b1 b2 0 = core (a1 + b2) 0 (a2 + b1) 0 0.
Proof.
  apply functional_extensionality; intros y; unfold core.
  replace (- y - 0) with (0 - y) by ring; replace (y + 0) with (y - 0) by ring; ring.
Qed.

Lemma core_even_minimizer P Q : 0 < P -> 0 < Q -> unique_minimizer (core P 0 Q 0 0) (ln (P / Q)).
Proof.
  intros HP HQ; set (r := ln (P / Q) / 2).
  assert (0 < P / Q) by now apply Rdiv_lt_0_compat.
  assert (exp r * exp r = P / Q) as E.
  { rewrite <- exp_plus; unfold r; rewrite <- (exp_ln (P / Q)) at 3 by assumption; f_equal; field. }
  clearbody r; pose proof (exp_pos r).
  assert (P = Q * (exp r * exp r)) as -> by (rewrite E; field; lra).
  replace (ln (Q * (exp r * exp r) / Q)) with (r + arcsinh (sinh r)).
  - apply core_minimizer with (Q * exp r).
    + now apply Rmult_lt_0_compat.
    + ring.
    + rewrite exp_opp; field; lra.
    + unfold sinh; rewrite exp_0, exp_opp; field; lra.
  - rewrite arcsinh_sinh; replace (Q * (exp r * exp r) / Q) with (exp (r + r))
      by (rewrite exp_plus; field; lra); now rewrite ln_exp.
Qed.

(* From y to z. *)
Section Affine.

Variables (f : R -> R) (k b o : R).
Hypotheses (k_pos : 0 < k) (b_pos : 0 < b).

Lemma affine_minimizer t : unique_minimizer f t ->
  unique_minimizer (fun z => k * f (b * z - o)) ((o + t) / b).
Proof.
  assert (b * ((o + t) / b) - o = t) as E by (field; lra).
  assert (forall z, (b * z - o < t <-> z < (o + t) / b) /\ (t < b * z - o <-> (o + t) / b < z))
    as Order.
  { intros z; split; split; intros Hz;
      first [apply (Rmult_lt_reg_l b); lra | apply (Rmult_lt_compat_l b) in Hz; lra]. }
  intros [H0 H]; split.
  - intros z; destruct (Order z) as [L U]; destruct (H0 (b * z - o)) as (s & Hs & L' & U').
    exists (k * b * s); split.
    + rewrite Rmult_assoc; apply (is_derive_scal (fun z => f (b * z - o))).
      apply (is_derive_comp f (fun z => b * z - o)); [exact Hs | auto_derive; [trivial | ring]].
    + rewrite <- L, <- U, <- L', <- U'; assert (0 < k * b) by now apply Rmult_lt_0_compat.
      split; split; intros; try (apply (Rmult_lt_reg_l (k * b)); lra).
      * rewrite <- (Rmult_0_r (k * b)); now apply Rmult_lt_compat_l.
      * now apply Rmult_lt_0_compat.
  - intros z Hz; rewrite E; apply Rmult_lt_compat_l, H; [assumption |].
    intros <-; apply Hz; field; lra.
Qed.

Lemma affine_convex : strictly_convex f -> strictly_convex (fun z => k * f (b * z - o)).
Proof.
  intros H x y t Hxy Ht.
  replace (b * (t * x + (1 - t) * y) - o) with (t * (b * x - o) + (1 - t) * (b * y - o)) by ring.
  assert (b * x - o <> b * y - o) as Hne by (intros E; apply Hxy, (Rmult_eq_reg_l b); lra).
  specialize (H _ _ t Hne Ht); apply (Rmult_lt_compat_l k) in H; [lra | assumption].
Qed.

End Affine.

Definition odd (g : R -> R) (h : R) : R := (g h - g (- h)) / 2.
Definition even (g : R -> R) (h : R) : R := (g h + g (- h)) / 2.

(* The expected loss of a pair over its Bradley-Terry label: where the second response is chosen,
   the loss sees -z and the reward model's margin -h. *)
Definition risk_of (loss : R -> R -> R) (h_true h z : R) : R :=
  sigmoid h_true * loss z h + sigmoid (- h_true) * loss (- z) (- h).

(* won and lost: the probability of either label, times its weight. *)
Notation won := Risk.p.
Notation lost := Risk.q.

Section Slots.

Variables (log_w label offset : R -> R) (b : R).
Hypothesis b_pos : 0 < b.

Notation delta := (ratio_of log_w).
Notation hard_risk := (risk_of (hard_loss log_w offset b)).
Notation slot_risk := (risk_of (slot_loss log_w label (fun h => 1 - label h) offset b)).
Notation slot_target := (slot_target log_w label (fun h => 1 - label h) offset b).

Lemma masses h_true h : let d := effective_target delta h_true h in
  exists k, 0 < k /\ won log_w h_true h = k * sigmoid d /\ lost log_w h_true h = k * sigmoid (- d).
Proof.
  intros d; exists (won log_w h_true h + lost log_w h_true h).
  pose proof (p_pos log_w h_true h); pose proof (q_pos log_w h_true h).
  repeat split; [lra | |]; rewrite mass_odds; fold d; rewrite sigmoid_exp, ?exp_opp;
    pose proof (exp_pos d); field; lra.
Qed.

Lemma printed_masses h_true h : let d := effective_target delta h_true h in
  / (exp (- h_true + log_w (- h) - log_w h) + 1) = sigmoid d
  /\ / (exp (h_true - log_w (- h) + log_w h) + 1) = sigmoid (- d).
Proof.
  split; unfold sigmoid, effective_target, ratio_of; rewrite Rplus_comm; do 3 f_equal; ring.
Qed.

Lemma slot_form h_true h k s s' : won log_w h_true h = k * s -> lost log_w h_true h = k * s' ->
  slot_risk h_true h = fun z => k * core (s * label h) (s * (1 - label h)) (s' * label (- h))
    (s' * (1 - label (- h))) (even offset h) (b * z - odd offset h).
Proof.
  intros Hw Hl; apply functional_extensionality; intros z.
  transitivity (won log_w h_true h * (label h * softplus (offset h - b * z)
      + (1 - label h) * softplus (b * z - offset h))
    + lost log_w h_true h * (label (- h) * softplus (b * z + offset (- h))
      + (1 - label (- h)) * softplus (- (b * z) - offset (- h)))).
  - unfold risk_of, slot_loss, p, q, weight, softplus; cbv zeta.
    replace (offset h - b * z) with (- (z * b) + offset h) by ring.
    replace (b * z - offset h) with (z * b - offset h) by ring.
    replace (b * z + offset (- h)) with (- (- z * b) + offset (- h)) by ring.
    replace (- (b * z) - offset (- h)) with (- z * b - offset (- h)) by ring.
    rewrite !(Rplus_comm (exp _) 1); ring.
  - rewrite Hw, Hl; unfold core, even, odd.
    replace (offset h - b * z) with ((offset h + offset (- h)) / 2
      - (b * z - (offset h - offset (- h)) / 2)) by lra.
    replace (b * z - offset h) with (b * z - (offset h - offset (- h)) / 2
      - (offset h + offset (- h)) / 2) by lra.
    replace (b * z + offset (- h)) with (b * z - (offset h - offset (- h)) / 2
      + (offset h + offset (- h)) / 2) by lra.
    replace (- (b * z) - offset (- h)) with (- (b * z - (offset h - offset (- h)) / 2)
      - (offset h + offset (- h)) / 2) by lra.
    ring.
Qed.

Lemma slot_at k s s' a1 a2 b1 b2 h_true h t : 0 < k ->
  won log_w h_true h = k * s -> lost log_w h_true h = k * s' ->
  a1 = s * label h -> a2 = s * (1 - label h) -> b1 = s' * label (- h) ->
  b2 = s' * (1 - label (- h)) -> unique_minimizer (core a1 a2 b1 b2 (even offset h)) t ->
  unique_minimizer (slot_risk h_true h) ((odd offset h + t) / b).
Proof.
  intros Hk Hw Hl -> -> -> -> H; rewrite (slot_form h_true h k s s') by assumption.
  now apply affine_minimizer.
Qed.

(* All slots at once: e^(b z - g_o) at the minimizer solves a quadratic. *)
Theorem C3_quadratic h_true h :
  let A1 := won log_w h_true h * label h in
  let A2 := won log_w h_true h * (1 - label h) in
  let B1 := lost log_w h_true h * label (- h) in
  let B2 := lost log_w h_true h * (1 - label (- h)) in
  let P := A1 + B2 in
  let Q := A2 + B1 in
  let E := exp (even offset h) in
  let target := (odd offset h + (ln (P / Q) / 2
    + arcsinh (((A1 - B1) * E + (B2 - A2) / E) / (2 * sqrt (P * Q))))) / b in
  let X := exp (b * target - odd offset h) in
  0 < P -> 0 < Q -> slot_target h_true h = target
  /\ unique_minimizer (slot_risk h_true h) target
  /\ Q * X ^ 2 + ((B1 - A1) * E + (A2 - B2) / E) * X - P = 0
  /\ (0 <= label h <= 1 -> 0 <= label (- h) <= 1 -> strictly_convex (slot_risk h_true h)).
Proof.
  intros A1 A2 B1 B2 P Q E target X HP HQ.
  assert (forall a1 a2 b1 b2, 0 < a1 + b2 -> 0 < a2 + b1 ->
    unique_minimizer (core a1 a2 b1 b2 (even offset h))
      ((ln (a1 + b2) - ln (a2 + b1)) / 2 + arcsinh (((a1 - b1) * E + (b2 - a2) / E)
        / (2 * (sqrt (a1 + b2) * sqrt (a2 + b1)))))) as Root.
  { clear; intros a1 a2 b1 b2 HP HQ.
    pose proof (sqrt_lt_R0 _ HP); pose proof (sqrt_lt_R0 _ HQ).
    assert (exp ((ln (a1 + b2) - ln (a2 + b1)) / 2) = sqrt (a1 + b2) / sqrt (a2 + b1)) as Er.
    { rewrite <- (sqrt_sqrt (a1 + b2)) at 1 by lra; rewrite <- (sqrt_sqrt (a2 + b1)) at 1 by lra.
      rewrite !ln_mult by assumption.
      replace ((ln (sqrt (a1 + b2)) + ln (sqrt (a1 + b2)) -
        (ln (sqrt (a2 + b1)) + ln (sqrt (a2 + b1)))) / 2)
        with (ln (sqrt (a1 + b2)) + - ln (sqrt (a2 + b1))) by field.
      rewrite exp_plus, exp_opp, !exp_ln by assumption; reflexivity. }
    assert (0 < sqrt (a1 + b2) * sqrt (a2 + b1)) by now apply Rmult_lt_0_compat.
    apply core_minimizer with (sqrt (a1 + b2) * sqrt (a2 + b1)); [assumption | | |].
    - rewrite Er; rewrite <- (sqrt_sqrt (a1 + b2)) at 1 by lra; field; lra.
    - rewrite exp_opp, Er; rewrite <- (sqrt_sqrt (a2 + b1)) at 1 by lra; field; lra.
    - fold E; field; repeat split; try lra; apply Rgt_not_eq, exp_pos. }
  assert (unique_minimizer (core A1 A2 B1 B2 (even offset h)) (b * target - odd offset h)) as Core.
  { replace (b * target - odd offset h) with (ln (P / Q) / 2
      + arcsinh (((A1 - B1) * E + (B2 - A2) / E) / (2 * sqrt (P * Q))))
      by (unfold target; field; lra).
    replace (ln (P / Q)) with (ln P - ln Q)
      by (unfold Rdiv; rewrite ln_mult, ln_Rinv; try apply Rinv_0_lt_compat; lra).
    rewrite sqrt_mult by lra; now apply Root. }
  assert (unique_minimizer (slot_risk h_true h) target) as Min.
  { replace target with ((odd offset h + (b * target - odd offset h)) / b) by (field; lra).
    eapply (slot_at 1 (won log_w h_true h) (lost log_w h_true h));
      try apply Core; try reflexivity; lra. }
  split; [| split; [exact Min | split]].
  - destruct (masses h_true h) as (k & Hk & Hw & Hl).
    set (d := effective_target delta h_true h) in *.
    apply minimizer_unique with (slot_risk h_true h); [| exact Min].
    set (a1 := sigmoid d * label h); set (a2 := sigmoid d * (1 - label h)).
    set (c1 := sigmoid (- d) * label (- h)); set (c2 := sigmoid (- d) * (1 - label (- h))).
    assert (0 < a1 + c2) as HP'.
    { apply (Rmult_lt_reg_l k); [assumption |].
      unfold P, A1, B2 in HP; rewrite Hw, Hl in HP; unfold a1, c2; lra. }
    assert (0 < a2 + c1) as HQ'.
    { apply (Rmult_lt_reg_l k); [assumption |].
      unfold Q, A2, B1 in HQ; rewrite Hw, Hl in HQ; unfold a2, c1; lra. }
    pose proof (slot_at k _ _ a1 a2 c1 c2 h_true h _ Hk Hw Hl eq_refl eq_refl eq_refl eq_refl
      (Root a1 a2 c1 c2 HP' HQ')) as H.
    match goal with |- unique_minimizer _ ?x => match type of H with unique_minimizer _ ?y =>
      replace x with y; [exact H |] end end.
    unfold Generated.slot_target, Rdiv; cbv zeta; rewrite (proj1 (printed_masses h_true h)).
    rewrite (proj2 (printed_masses h_true h)); fold d.
    replace ((1 - label (- h)) * sigmoid (- d) + label h * sigmoid d) with (a1 + c2)
      by (unfold a1, c2; ring).
    replace (label (- h) * sigmoid (- d) + (1 - label h) * sigmoid d) with (a2 + c1)
      by (unfold a2, c1; ring).
    pose proof (sqrt_lt_R0 _ HP'); pose proof (sqrt_lt_R0 _ HQ').
    f_equal; unfold odd.
    replace (exp (1 * / 2 * offset (- h) + 1 * / 2 * offset h)) with E
      by (unfold E, even; f_equal; field).
    replace (exp (- (1 * / 2 * offset (- h)) - 1 * / 2 * offset h)) with (/ E)
      by (unfold E, even; rewrite <- exp_opp; f_equal; field).
    match goal with |- _ + (_ + arcsinh ?x) = _ + arcsinh ?y => replace y with x; [field |] end.
    unfold a1, a2, c1, c2 in *; field; repeat split; try lra; unfold E; apply Rgt_not_eq, exp_pos.
  - pose proof (minimizer_stationary _ _ Core) as H0.
    apply is_derive_unique in H0; rewrite (is_derive_unique _ _ _ (core_derive _ _ _ _ _ _)) in H0.
    rewrite core_quadratic in H0; apply Rmult_integral in H0 as [H0 | H0]; [exfalso | exact H0].
    pose proof (exp_pos (even offset h)); pose proof (exp_pos (b * target - odd offset h)).
    revert H0; apply Rgt_not_eq, Rdiv_lt_0_compat; [assumption |].
    apply Rmult_lt_0_compat; [lra |]; assert (0 < X * E) by now apply Rmult_lt_0_compat.
    unfold X, E in *; lra.
  - intros; rewrite (slot_form h_true h 1 (won log_w h_true h) (lost log_w h_true h)) by ring.
    pose proof (p_pos log_w h_true h); pose proof (q_pos log_w h_true h).
    apply affine_convex; [lra | assumption |].
    apply core_convex; try (apply Rmult_le_pos; lra); exact HP.
Qed.

(* No even offset: the target is the log-odds that the soft labels leave. *)
Theorem C2_target h_true h :
  let A := won log_w h_true h * label h + lost log_w h_true h * (1 - label (- h)) in
  let B := won log_w h_true h * (1 - label h) + lost log_w h_true h * label (- h) in
  let target := (odd offset h + ln (A / B)) / b in
  even offset h = 0 -> 0 < A -> 0 < B -> slot_target h_true h = target
  /\ strictly_convex (slot_risk h_true h) /\ unique_minimizer (slot_risk h_true h) target.
Proof.
  intros A B target H0 HA HB.
  assert (unique_minimizer (slot_risk h_true h) target) as Min.
  { eapply (slot_at 1 (won log_w h_true h) (lost log_w h_true h)); try reflexivity; try lra.
    rewrite H0, core_even; now apply core_even_minimizer. }
  split; [| split; [| exact Min]].
  - apply minimizer_unique with (slot_risk h_true h); [| exact Min].
    pose proof (C3_quadratic h_true h HA HB) as (-> & H & _); exact H.
  - rewrite (slot_form h_true h 1 (won log_w h_true h) (lost log_w h_true h)) by ring.
    apply affine_convex; [lra | assumption |].
    rewrite H0, core_even; apply core_convex; unfold A, B in *; lra.
Qed.

End Slots.

Section HardLabels.

Variables (log_w offset : R -> R) (b : R).
Hypothesis b_pos : 0 < b.

Notation delta := (ratio_of log_w).
Notation hard_risk := (risk_of (hard_loss log_w offset b)).
Notation hard_target := (hard_target log_w offset b).

Lemma hard_form h_true h k s s' : won log_w h_true h = k * s -> lost log_w h_true h = k * s' ->
  hard_risk h_true h = fun z => k * core s 0 s' 0 (even offset h) (b * z - odd offset h).
Proof.
  intros Hw Hl; transitivity (risk_of (slot_loss log_w (fun _ => 1) (fun _ => 1 - 1) offset b)
    h_true h).
  - apply functional_extensionality; intros z; unfold risk_of, hard_loss, slot_loss; ring.
  - rewrite (slot_form log_w (fun _ => 1) offset b h_true h k s s') by assumption.
    apply functional_extensionality; intros z; unfold core; ring.
Qed.

(* Hard labels: the target, of any weight, offset and temperature. *)
Theorem C1_unique_minimizer h_true h :
  let d := h_true + delta h in
  let target := (odd offset h + d / 2 + arcsinh (exp (even offset h) * sinh (d / 2))) / b in
  hard_target h_true h = target
  /\ strictly_convex (hard_risk h_true h) /\ unique_minimizer (hard_risk h_true h) target.
Proof.
  intros d target; split; [| split].
  - unfold Generated.hard_target, target, odd, even, d, ratio_of; cbv zeta.
    f_equal; f_equal; [field | do 2 f_equal; [f_equal; field | f_equal; field]].
  - rewrite (hard_form h_true h 1 (won log_w h_true h) (lost log_w h_true h)) by ring.
    pose proof (p_pos log_w h_true h); pose proof (q_pos log_w h_true h).
    apply affine_convex; [lra | assumption |]; apply core_convex; lra.
  - destruct (masses log_w h_true h) as (k & Hk & Hw & Hl).
    change (effective_target delta h_true h) with d in *.
    rewrite (hard_form h_true h k (sigmoid d) (sigmoid (- d))) by assumption.
    unfold target; rewrite Rplus_assoc; apply affine_minimizer; [assumption.. |].
    pose proof (sigmoid_pos d); pose proof (sigmoid_pos (- d)); pose proof (exp_pos (d / 2)).
    assert (sigmoid d = sigmoid (- d) * (exp (d / 2) * exp (d / 2))) as E.
    { rewrite <- exp_plus, Rmult_comm, (sigmoid_odds_mult d); do 2 f_equal; field. }
    apply core_minimizer with (sigmoid (- d) * exp (d / 2)).
    + now apply Rmult_lt_0_compat.
    + rewrite E; ring.
    + rewrite exp_opp; field; lra.
    + unfold sinh; rewrite E, exp_opp; field; split; [lra | apply Rgt_not_eq, exp_pos].
Qed.

(* An odd offset adds to the target, *)
Theorem C1_odd h_true h : even offset h = 0 ->
  hard_target h_true h = (odd offset h + h_true + delta h) / b.
Proof.
  intros H; rewrite (proj1 (C1_unique_minimizer h_true h)), H, exp_0, Rmult_1_l, arcsinh_sinh.
  field; lra.
Qed.

End HardLabels.

(* a weight adds the log-ratio of its two values, *)
Theorem C1_weights log_w h_true h :
  hard_target log_w (fun _ => 0) 1 h_true h = h_true + ratio_of log_w h
  /\ weight_target log_w h_true h = h_true + ratio_of log_w h.
Proof.
  split; [| unfold weight_target, ratio_of; ring].
  rewrite C1_odd by (unfold even; lra); unfold odd; field.
Qed.

(* and a constant offset, SimPO's, amplifies hard pairs by a factor and easy ones by a constant. *)
Theorem C1_even_slope_at_zero gamma :
  (forall h, simpo_target gamma h = hard_target (fun _ => 0) (fun _ => gamma) 1 h h)
  /\ simpo_target gamma 0 = 0 /\ is_derive (simpo_target gamma) 0 ((1 + exp gamma) / 2).
Proof.
  split; [| unfold simpo_target; split].
  - intros h; rewrite (proj1 (C1_unique_minimizer _ _ 1 Rlt_0_1 h h)).
    unfold simpo_target, odd, even, ratio_of; cbv zeta.
    replace (h + (- 0 + 0)) with h by ring; replace ((gamma + gamma) / 2) with gamma by field.
    replace (h / 2) with (1 / 2 * h) by field; field.
  - rewrite Rmult_0_r, sinh_0, Rmult_0_r, arcsinh_0; ring.
  - unfold arcsinh, sinh; auto_derive; rewrite !Rmult_0_r, Ropp_0, exp_0;
      replace (exp gamma * ((1 + - (1)) * / 2)) with 0 by field;
      replace (0 * (0 * 1) + 1) with 1 by ring; rewrite sqrt_1; [lra | field].
Qed.

Lemma far (f F : R -> R) l : (forall h, f h = F (exp (- h))) -> continuous F 0 -> F 0 = l ->
  is_lim f p_infty l.
Proof.
  intros Hf HF <-; apply is_lim_ext with (fun h => F (exp (- h))); [now intros; rewrite Hf |].
  apply is_lim_comp_continuous; [| exact HF].
  apply is_lim_spec; intros eps; pose proof (cond_pos eps).
  exists (- ln eps); intros h Hh.
  rewrite Rminus_0_r, Rabs_right by (left; apply exp_pos).
  rewrite <- (exp_ln eps) by assumption; apply exp_increasing; lra.
Qed.

Theorem C1_even_far gamma : is_lim (fun h => simpo_target gamma h - h) p_infty gamma.
Proof.
  pose proof (exp_pos gamma) as HE; set (E := exp gamma) in *.
  apply far with (fun u => ln (E * (1 - u) / 2 + sqrt ((E * (1 - u) / 2) ^ 2 + u))).
  - intros h; unfold simpo_target, arcsinh; cbv zeta; fold E.
    set (x := 1 / 2 * h); pose proof (exp_pos x).
    assert (exp (- h) = / exp x * / exp x) as ->
      by (rewrite <- !exp_opp, <- exp_plus; f_equal; unfold x; field).
    set (s := E * (1 - / exp x * / exp x) / 2).
    assert (E * sinh x = exp x * s) as -> by (unfold sinh, s; rewrite exp_opp; field; lra).
    replace ((exp x * s) ^ 2 + 1) with (exp x * exp x * (s ^ 2 + / exp x * / exp x))
      by (field; lra).
    assert (0 < / exp x * / exp x) by (apply Rmult_lt_0_compat; now apply Rinv_0_lt_compat).
    pose proof (pow2_ge_0 s).
    rewrite sqrt_mult_alt, sqrt_square by (try apply Rmult_le_pos; lra).
    rewrite <- Rmult_plus_distr_l, ln_mult, ln_exp; [unfold x; field | assumption |].
    assert (Rabs s < sqrt (s ^ 2 + / exp x * / exp x)).
    { rewrite <- sqrt_Rsqr_abs; apply sqrt_lt_1_alt; unfold Rsqr; split; [nra | lra]. }
    pose proof (Rle_abs (- s)) as Ha; rewrite Rabs_Ropp in Ha; lra.
  - apply (ex_derive_continuous (fun u => ln (E * (1 - u) / 2 + sqrt ((E * (1 - u) / 2) ^ 2 + u)))).
    auto_derive.
    assert (0 < E * (1 + - 0) * / 2) by lra.
    assert (0 < (E * (1 + - 0) * / 2) * (E * (1 + - 0) * / 2)) by now apply Rmult_lt_0_compat.
    split; [| split; [| trivial]].
    + lra.
    + pose proof (sqrt_pos ((E * (1 + - 0) * / 2) ^ 2 + 0)); simpl in *; lra.
  - replace (E * (1 - 0) / 2) with (E / 2) by lra; rewrite Rplus_0_r.
    rewrite sqrt_pow2 by lra; replace (E / 2 + E / 2) with E by lra; apply ln_exp.
Qed.

(* Soft labels alone. *)
Definition soft_risk (log_w label : R -> R) (b : R) : R -> R -> R -> R :=
  risk_of (slot_loss log_w label (fun h => 1 - label h) (fun _ => 0) b).

Lemma soft_form log_w label b h_true h : 0 < b ->
  let A := won log_w h_true h * label h + lost log_w h_true h * (1 - label (- h)) in
  let B := won log_w h_true h * (1 - label h) + lost log_w h_true h * label (- h) in
  0 < A -> 0 < B -> soft_target log_w label (fun h => 1 - label h) b h_true h = ln (A / B) / b
  /\ unique_minimizer (soft_risk log_w label b h_true h)
       (ln (A / B) / b).
Proof.
  intros Hb A B HA HB.
  assert (even (fun _ => 0) h = 0) as He by (unfold even; field).
  pose proof (C2_target log_w label (fun _ => 0) b Hb h_true h He HA HB) as (HT & _ & HM).
  replace (ln (A / B) / b) with ((odd (fun _ => 0) h + ln (A / B)) / b)
    by (unfold odd; field; lra).
  split; [| exact HM].
  destruct (masses log_w h_true h) as (k & Hk & Hw & Hl).
  destruct (printed_masses log_w h_true h) as [E E'].
  set (d := effective_target (ratio_of log_w) h_true h) in *.
  set (P := sigmoid (- d) * (1 - label (- h)) + sigmoid d * label h).
  set (Q := sigmoid (- d) * label (- h) + sigmoid d * (1 - label h)).
  assert (A = k * P) as EA by (unfold A, P; rewrite Hw, Hl; ring).
  assert (B = k * Q) as EB by (unfold B, Q; rewrite Hw, Hl; ring).
  assert (0 < P) by (apply (Rmult_lt_reg_l k); lra).
  assert (0 < Q) by (apply (Rmult_lt_reg_l k); lra).
  replace ((odd (fun _ => 0) h + ln (A / B)) / b) with ((- ln Q + ln P) / b).
  - unfold soft_target, Rdiv; cbv zeta; rewrite E, E'; do 2 f_equal;
      [f_equal; f_equal | f_equal]; unfold P, Q; ring.
  - rewrite EA, EB; replace (k * P / (k * Q)) with (P * / Q) by (field; lra).
    rewrite ln_mult, ln_Rinv by (try apply Rinv_0_lt_compat; assumption); unfold odd; field; lra.
Qed.

(* cDPO: the target saturates. *)
Theorem C2_cdpo epsilon : 0 < epsilon < 1 / 2 ->
  let T h := soft_target (fun _ => 0) (fun _ => 1 - epsilon) (fun _ => epsilon) 1 h h in
  (forall h, unique_minimizer (risk_of (fun z _ => cdpo_loss epsilon z) h h) (T h))
  /\ (forall h, T h < ln ((1 - epsilon) / epsilon))
  /\ is_lim T p_infty (ln ((1 - epsilon) / epsilon)).
Proof.
  intros He T.
  assert (forall h, let A := sigmoid h * (1 - epsilon) + sigmoid (- h) * epsilon in
      let B := sigmoid h * epsilon + sigmoid (- h) * (1 - epsilon) in 0 < A /\ 0 < B /\
      T h = ln (A / B) /\ unique_minimizer (risk_of (fun z _ => cdpo_loss epsilon z) h h) (T h))
    as H.
  { intros h A B; pose proof (sigmoid_pos h); pose proof (sigmoid_pos (- h)).
    assert (0 < A) by (apply Rplus_lt_0_compat; apply Rmult_lt_0_compat; lra).
    assert (0 < B) by (apply Rplus_lt_0_compat; apply Rmult_lt_0_compat; lra).
    pose proof (soft_form (fun _ => 0) (fun _ => 1 - epsilon) 1 h h Rlt_0_1) as F.
    cbv zeta beta in F; unfold soft_risk, p, q, weight in F; rewrite exp_0, !Rmult_1_r in F.
    replace (1 - (1 - epsilon)) with epsilon in F by ring; fold A B in F.
    destruct F as [F M]; [assumption.. |].
    assert (T h = ln (A / B)) as E by (unfold T; rewrite F; field).
    do 3 (split; [assumption |]); rewrite E.
    replace (risk_of (fun z _ => cdpo_loss epsilon z) h h) with (risk_of
      (slot_loss (fun _ => 0) (fun _ => 1 - epsilon) (fun _ => epsilon) (fun _ => 0) 1) h h).
    - replace (ln (A / B)) with (ln (A / B) / 1) by field; exact M.
    - apply functional_extensionality; intros z; unfold risk_of, slot_loss, cdpo_loss; cbv zeta.
      rewrite exp_0, !Rmult_1_r, !Rplus_0_r, !Rminus_0_r, !(Rplus_comm (exp _) 1); ring. }
  split; [| split].
  - intros h; apply H.
  - intros h; destruct (H h) as (HA & HB & -> & _); pose proof (sigmoid_pos (- h)).
    apply ln_increasing; [now apply Rdiv_lt_0_compat |].
    match goal with |- ?a / ?b < _ => apply (Rmult_lt_reg_r (b * epsilon)) end.
    { apply Rmult_lt_0_compat; lra. }
    match goal with |- ?a / ?b * _ < _ => replace (a / b * (b * epsilon)) with (a * epsilon)
      by (field; lra); replace ((1 - epsilon) / epsilon * (b * epsilon)) with ((1 - epsilon) * b)
      by (field; lra) end.
    assert (0 < sigmoid (- h) * (1 - 2 * epsilon)) by (apply Rmult_lt_0_compat; lra); lra.
  - apply far with (fun u => ln (((1 - epsilon) + u * epsilon) / (epsilon + u * (1 - epsilon)))).
    + intros h; destruct (H h) as (_ & _ & -> & _); f_equal.
      unfold sigmoid; rewrite Ropp_involutive, exp_opp; pose proof (exp_pos h).
      assert (0 < exp h * epsilon) by (apply Rmult_lt_0_compat; lra).
      assert (0 < exp h * (exp h * epsilon)) by now apply Rmult_lt_0_compat.
      field; repeat split; lra.
    + apply (ex_derive_continuous
        (fun u => ln (((1 - epsilon) + u * epsilon) / (epsilon + u * (1 - epsilon))))).
      auto_derive; rewrite !Rmult_0_l, !Rplus_0_r; repeat split; [lra |].
      apply Rdiv_lt_0_compat; lra.
    + now rewrite !Rmult_0_l, !Rplus_0_r.
Qed.

(* rDPO: unbiased at the rate epsilon, *)
Theorem C2_rdpo epsilon h_true h : 0 <= epsilon < 1 / 2 ->
  epsilon < sigmoid h_true < 1 - epsilon -> unique_minimizer
    (risk_of (fun z _ => rdpo_loss epsilon z) h_true h)
    (ln ((sigmoid h_true - epsilon) / (1 - sigmoid h_true - epsilon))).
Proof.
  intros He Hp; set (label := fun _ : R => (1 - epsilon) / (1 - 2 * epsilon)).
  pose proof (soft_form (fun _ => 0) label 1 h_true h Rlt_0_1) as F; cbv zeta in F.
  unfold soft_risk, p, q, weight, label in F; rewrite exp_0, !Rmult_1_r, sigmoid_opp in F.
  match type of F with 0 < ?A -> 0 < ?B -> _ =>
    replace A with ((sigmoid h_true - epsilon) / (1 - 2 * epsilon)) in F by (field; lra);
    replace B with ((1 - sigmoid h_true - epsilon) / (1 - 2 * epsilon)) in F by (field; lra) end.
  destruct F as [_ F]; [apply Rdiv_lt_0_compat; lra.. |].
  match type of F with unique_minimizer ?f (ln ?x / 1) =>
    replace (risk_of (fun z _ => rdpo_loss epsilon z) h_true h) with f;
    [replace (ln _) with (ln x / 1); [exact F | unfold Rdiv at 1; rewrite Rinv_1, Rmult_1_r] |] end.
  - f_equal; field; lra.
  - apply functional_extensionality; intros z; unfold risk_of, slot_loss, rdpo_loss; cbv zeta.
    rewrite exp_0, !Rmult_1_r, !Rplus_0_r, !Rminus_0_r, !(Rplus_comm (exp _) 1); field; lra.
Qed.

(* and a label cleaner than expected leaves the risk without a lower bound. *)
Theorem C2_rdpo_unbounded epsilon h_true h bound :
  0 <= epsilon < 1 / 2 -> 1 - epsilon < sigmoid h_true ->
  exists z, risk_of (fun z _ => rdpo_loss epsilon z) h_true h z < bound.
Proof.
  intros He Hp; set (c := sigmoid h_true + epsilon - 1).
  set (d := (sigmoid h_true - epsilon) * ln 2 - (1 - 2 * epsilon) * bound).
  assert (0 < c) by (unfold c; lra).
  set (z := Rmax 0 (d / c)); exists z.
  assert (softplus (- z) <= ln 2) as Low
    by (rewrite <- softplus_0; apply softplus_le; pose proof (Rmax_l 0 (d / c)); unfold z; lra).
  assert (z < softplus z) as High.
  { unfold softplus; rewrite <- (ln_exp z) at 1; apply ln_increasing; [apply exp_pos | lra]. }
  assert (d <= c * z) as Far.
  { replace d with (c * (d / c)) by (field; lra); apply Rmult_le_compat_l; [lra | apply Rmax_r]. }
  replace (risk_of (fun z _ => rdpo_loss epsilon z) h_true h z)
    with (((sigmoid h_true - epsilon) * softplus (- z) - c * softplus z) / (1 - 2 * epsilon)).
  2: { unfold risk_of, rdpo_loss, softplus, c; rewrite sigmoid_opp, Ropp_involutive.
       rewrite !(Rplus_comm (exp _) 1); field; lra. }
  apply Rmult_lt_reg_r with (1 - 2 * epsilon); [lra |].
  unfold Rdiv; rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  apply (Rmult_lt_compat_l c) in High; [| assumption].
  apply (Rmult_le_compat_l (sigmoid h_true - epsilon)) in Low; [unfold d in Far; lra | lra].
Qed.

(* Labels sigma (T h) by the reward model, as T h = eta h: its own margins are learnt, whatever the
   true margin and the weight. *)
Theorem C2_distillation log_w T b h_true h : 0 < b -> T (- h) = - T h ->
  let label := fun h => sigmoid (T h) in
  soft_target log_w label (fun h => 1 - label h) b h_true h = T h / b
  /\ unique_minimizer (soft_risk log_w label b h_true h)
       (T h / b).
Proof.
  intros Hb HT label; pose proof (p_pos log_w h_true h); pose proof (q_pos log_w h_true h).
  pose proof (sigmoid_pos (T h)); pose proof (sigmoid_pos (- T h)) as Hm.
  assert (1 - sigmoid (- T h) = sigmoid (T h)) as E by (rewrite sigmoid_opp; ring).
  assert (1 - sigmoid (T h) = sigmoid (- T h)) as E' by (rewrite sigmoid_opp; ring).
  pose proof (soft_form log_w label b h_true h Hb) as F; cbv zeta beta in F; unfold label in F.
  rewrite HT, E, E', <- !Rmult_plus_distr_r in F.
  replace (ln _) with (T h) in F.
  - apply F; apply Rmult_lt_0_compat; lra.
  - rewrite <- (ln_exp (T h)) at 1; f_equal; rewrite (sigmoid_odds_mult (T h)); field; lra.
Qed.

(* An even weight moves no lone pair's target. *)
Theorem C4_even_weight log_w agreed disputed offset b h_true h z : log_w (- h) = log_w h ->
  minimizes (risk_of (slot_loss log_w agreed disputed offset b) h_true h) z
  <-> minimizes (risk_of (slot_loss (fun _ => 0) agreed disputed offset b) h_true h) z.
Proof.
  intros Hw.
  assert (forall x, risk_of (slot_loss log_w agreed disputed offset b) h_true h x
    = exp (log_w h) * risk_of (slot_loss (fun _ => 0) agreed disputed offset b) h_true h x) as E
    by (intros x; unfold risk_of, slot_loss; rewrite Hw, exp_0; ring).
  pose proof (exp_pos (log_w h)); split; intros Hm x; specialize (Hm x); rewrite !E in *.
  - now apply Rmult_le_reg_l with (exp (log_w h)).
  - apply Rmult_le_compat_l; lra.
Qed.

(* What carries the reward model's errors into the target, from its margin h to k: the log-ratio of
   the weight and the odd part of the offset. *)
Theorem C4_errors_enter_by_delta_and_odd_offset log_w offset b h_true h k z z' : 0 < b ->
  even offset h = 0 -> even offset k = 0 ->
  minimizes (risk_of (hard_loss log_w offset b) h_true h) z ->
  minimizes (risk_of (hard_loss log_w offset b) h_true k) z' ->
  z' - z = (ratio_of log_w k - ratio_of log_w h + (odd offset k - odd offset h)) / b.
Proof.
  intros Hb Hh Hk Hz Hz'.
  assert (forall h z, even offset h = 0 ->
    minimizes (risk_of (hard_loss log_w offset b) h_true h) z ->
    z = (odd offset h + h_true + ratio_of log_w h) / b) as Target.
  { intros x y He Hy; rewrite <- C1_odd by assumption.
    pose proof (C1_unique_minimizer log_w offset b Hb h_true x) as (-> & _ & _ & Hm).
    now apply (minimizes_iff _ _ Hm). }
  rewrite (Target h z), (Target k z') by assumption; field; lra.
Qed.

(* The weight sigma(h) adds the reward model's margin: with an exact one the target is 2 h. *)
Theorem C4_reward_probability h_true h :
  effective_target (ratio_of (fun h => ln (sigmoid h))) h_true h = h_true + h
  /\ effective_target (ratio_of (fun h => ln (sigmoid h))) h h = 2 * h.
Proof.
  enough (ratio_of (fun h => ln (sigmoid h)) h = h) as E
    by (unfold effective_target; rewrite E; split; ring).
  unfold ratio_of; rewrite (sigmoid_odds_mult h), ln_mult, ln_exp
    by (apply exp_pos || apply sigmoid_pos); ring.
Qed.

(* An offset that watches the policy, g_o = a z, held while the loss is differentiated: the slope at
   z has the sign of (b - a) z - T. So the one stationary point is T/(b - a), none if a = b and
   T <> 0; descent comes to it if a < b, and runs away from it if a > b. *)
Theorem C5_stationary log_w offset a b h_true h z : 0 < b -> odd offset h = a * z ->
  let d := h_true + ratio_of log_w h in
  let T := d / 2 + arcsinh (exp (even offset h) * sinh (d / 2)) in
  exists slope, is_derive (risk_of (hard_loss log_w offset b) h_true h) z slope
    /\ (slope < 0 <-> (b - a) * z < T) /\ (0 < slope <-> T < (b - a) * z).
Proof.
  intros Hb Ho d T.
  destruct (C1_unique_minimizer log_w offset b Hb h_true h) as (_ & _ & H & _).
  destruct (H z) as (s & Hs & L & U); exists s; split; [exact Hs |]; rewrite L, U, Ho.
  fold d; rewrite Rplus_assoc; fold T.
  replace ((a * z + T) / b) with (z + (T - (b - a) * z) / b) by (field; lra).
  split; split; intros Hz.
  - apply (Rmult_lt_compat_l b) in Hz; [| assumption].
    replace (b * (z + (T - (b - a) * z) / b)) with (a * z + T) in Hz by (field; lra); lra.
  - assert (0 < (T - (b - a) * z) / b) by (apply Rdiv_lt_0_compat; lra); lra.
  - apply (Rmult_lt_compat_l b) in Hz; [| assumption].
    replace (b * (z + (T - (b - a) * z) / b)) with (a * z + T) in Hz by (field; lra); lra.
  - assert (0 < ((b - a) * z - T) / b) by (apply Rdiv_lt_0_compat; lra); lra.
Qed.

Fixpoint iterate (T a z : R) (n : nat) : R :=
  match n with O => z | S n => T + a * iterate T a z n end.

(* Minimizing again and again with the offset of the last minimizer (b = 1). *)
Theorem C5_iteration T a : a <> 1 ->
  (forall z, is_lim_seq (iterate T a z) (T / (1 - a))) <-> Rabs a < 1.
Proof.
  intros Ha; set (t := T / (1 - a)).
  assert (forall z n, iterate T a z n = t + (z - t) * a ^ n) as Form.
  { intros z n; induction n; simpl; [ring | rewrite IHn; unfold t; field; lra]. }
  split.
  - intros H; destruct (Rlt_le_dec (Rabs a) 1) as [| Hge]; [assumption | exfalso].
    specialize (H (t + 1)); apply is_lim_seq_spec in H.
    destruct (H (mkposreal 1 Rlt_0_1)) as [n Hn]; specialize (Hn n (le_n n)); simpl in Hn.
    rewrite Form in Hn; replace (t + (t + 1 - t) * a ^ n - t) with (a ^ n) in Hn by ring.
    rewrite <- RPow_abs in Hn; pose proof (pow_R1_Rle (Rabs a) n Hge); lra.
  - intros H z; apply is_lim_seq_ext with (fun n => t + (z - t) * a ^ n).
    { intros; symmetry; apply Form. }
    replace (Finite t) with (Finite (t + (z - t) * 0)) by (f_equal; ring).
    apply is_lim_seq_plus'; [apply is_lim_seq_const |].
    apply (is_lim_seq_scal_l (fun n => a ^ n) (z - t) 0), is_lim_seq_geom, H.
Qed.

(* C6. Three responses scored s1, s2, s3, whose pairs have the margins a, b and a + b and are
   sampled at the rates n: their risk is stationary. `slope` is a pair's, by z and h. *)
Definition stationary (slope : R -> R -> R) (a b s1 s2 s3 n12 n23 n13 : R) : Prop :=
  n12 * slope (s1 - s2) a + n13 * slope (s1 - s3) (a + b) = 0
  /\ - (n13 * slope (s1 - s3) (a + b)) - n23 * slope (s2 - s3) b = 0.

(* Every three responses have scores that are optimal however the pairs are sampled. *)
Definition consistent (slope : R -> R -> R) : Prop :=
  forall a b, 0 <= a -> 0 <= b -> exists s1 s2 s3, forall n12 n23 n13,
    0 < n12 -> 0 < n23 -> 0 < n13 -> stationary slope a b s1 s2 s3 n12 n23 n13.

Lemma consistent_additive slope T : (forall z h, slope z h = 0 <-> z = T h) ->
  consistent slope <-> forall a b, 0 <= a -> 0 <= b -> T (a + b) = T a + T b.
Proof.
  intros HT; split; intros H a b Ha Hb.
  - destruct (H a b Ha Hb) as (s1 & s2 & s3 & Hs).
    pose proof (Hs 1 1 1 Rlt_0_1 Rlt_0_1 Rlt_0_1) as [? ?].
    pose proof (Hs 1 1 2 Rlt_0_1 Rlt_0_1 Rlt_0_2) as [? ?].
    assert (slope (s1 - s2) a = 0) as E1 by lra; assert (slope (s2 - s3) b = 0) as E2 by lra.
    assert (slope (s1 - s3) (a + b) = 0) as E3 by lra.
    apply HT in E1, E2, E3; lra.
  - exists (T a + T b), (T b), 0; intros; specialize (H a b Ha Hb); unfold stationary.
    rewrite (proj2 (HT (T a + T b - T b) a)), (proj2 (HT (T a + T b - 0) (a + b))),
      (proj2 (HT (T b - 0) b)) by lra; lra.
Qed.

(* Cauchy: what is additive on [0, oo) and bounded on [0, 1] is linear. *)
Lemma additive_linear (T : R -> R) bound :
  (forall a b, 0 <= a -> 0 <= b -> T (a + b) = T a + T b) ->
  (forall x, 0 <= x <= 1 -> Rabs (T x) <= bound) -> forall x, 0 <= x -> T x = T 1 * x.
Proof.
  intros add HB; set (g x := T x - T 1 * x).
  assert (forall a b, 0 <= a -> 0 <= b -> g (a + b) = g a + g b) as gadd
    by (intros; unfold g; rewrite add by assumption; ring).
  assert (forall n x, 0 <= x -> g (INR n * x) = INR n * g x) as gnat.
  { intros n x Hx; induction n as [| n IH].
    - simpl; rewrite !Rmult_0_l; pose proof (gadd 0 0 (Rle_refl 0) (Rle_refl 0)) as H0.
      rewrite Rplus_0_r in H0; lra.
    - rewrite S_INR, Rmult_plus_distr_r, Rmult_1_l, gadd, IH; [ring | | assumption].
      apply Rmult_le_pos; [apply pos_INR | assumption]. }
  set (C := bound + Rabs (T 1)).
  assert (forall x, 0 <= x -> Rabs (g x) <= C) as gall.
  { intros x Hx; destruct (nfloor_ex x Hx) as (n & ? & ?); set (y := x - INR n).
    replace (g x) with (g y).
    2: { replace x with (INR n * 1 + y) by (unfold y; ring).
         rewrite gadd, gnat by (unfold y; try apply Rmult_le_pos; try apply pos_INR; lra).
         unfold g at 2; ring. }
    assert (0 <= y <= 1) as Hy by (unfold y; lra); specialize (HB y Hy).
    assert (Rabs (T 1 * y) <= Rabs (T 1) * 1)
      by (rewrite Rabs_mult, (Rabs_right y) by lra; apply Rmult_le_compat_l, Hy; apply Rabs_pos).
    pose proof (Rabs_triang (T y) (- (T 1 * y))) as Ht; rewrite Rabs_Ropp in Ht.
    unfold g, C, Rminus; lra. }
  intros x Hx; enough (g x = 0) by (unfold g in *; lra).
  destruct (Req_dec (g x) 0) as [| Hne]; [assumption | exfalso].
  assert (0 < Rabs (g x)) by now apply Rabs_pos_lt.
  assert (0 <= C) by (pose proof (gall x Hx); lra).
  destruct (nfloor_ex (C / Rabs (g x) + 1)) as (n & _ & Hn).
  { enough (0 <= C / Rabs (g x)) by lra.
    apply Rmult_le_pos; [| apply Rlt_le, Rinv_0_lt_compat]; lra. }
  pose proof (gall (INR n * x) ltac:(apply Rmult_le_pos; [apply pos_INR | assumption])) as Hg.
  rewrite gnat, Rabs_mult, (Rabs_right (INR n)) in Hg by (try apply Rle_ge, pos_INR; assumption).
  assert (C / Rabs (g x) < INR n) as Hlt by lra.
  apply (Rmult_lt_compat_r (Rabs (g x))) in Hlt; [| assumption].
  unfold Rdiv in Hlt; rewrite Rmult_assoc, Rinv_l, Rmult_1_r in Hlt by lra; lra.
Qed.

(* Of all methods with one target for a pair, odd and bounded near 0, those whose targets of three
   responses can always be met together are the changes of temperature. *)
Theorem C6_only_linear slope T bound : (forall z h, slope z h = 0 <-> z = T h) ->
  (forall h, T (- h) = - T h) -> (forall h, 0 <= h <= 1 -> Rabs (T h) <= bound) ->
  consistent slope <-> exists rho, forall h, T h = rho * h.
Proof.
  intros HT odd HB; rewrite (consistent_additive slope T HT); split.
  - intros add; exists (T 1); intros h; pose proof (additive_linear T bound add HB) as H.
    destruct (Rle_lt_dec 0 h); [now apply H |].
    specialize (H (- h) ltac:(lra)); rewrite odd in H; lra.
  - intros [rho H] a b _ _; rewrite !H; ring.
Qed.

(* So is no weight, but those whose log-ratio is linear, *)
Theorem C6_weights log_w bound :
  let T h := effective_target (ratio_of log_w) h h in
  (forall h, 0 <= h <= 1 -> Rabs (T h) <= bound) ->
  consistent (fun z h => risk_slope log_w z h h) <-> exists rho, forall h, T h = rho * h.
Proof.
  intros T HB; apply C6_only_linear with bound; [| | exact HB].
  - intros z h; apply T1_stationary.
  - intros h; unfold T, effective_target, ratio_of; rewrite Ropp_involutive; ring.
Qed.

(* and no valid schedule of the published one. *)
Theorem C6_published s : valid s ->
  ~ consistent (fun z h => risk_slope (log_weight s) z h h).
Proof.
  intros ok H; pose proof ok as (? & ? & ? & Ht).
  rewrite (consistent_additive _ _ (fun z h => T1_stationary (log_weight s) z h h)) in H.
  set (a := tau s / 2); specialize (H a a ltac:(unfold a; lra) ltac:(unfold a; lra)).
  unfold effective_target in H; rewrite <- !T1_ratio in H by assumption.
  rewrite !ratio_inside, !S1_formula in H by (try assumption; unfold a; rewrite Rabs_right; lra).
  rewrite (Rabs_right a), (Rabs_right (a + a)) in H by (unfold a; lra).
  pose proof (c_decreasing s ok a (a + a) ltac:(unfold a; lra)).
  assert (c s (a + a) = c s a); [| lra].
  apply Rmult_eq_reg_r with (a + a); unfold a in *; lra.
Qed.
