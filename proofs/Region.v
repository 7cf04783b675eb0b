(* T5 for every valid schedule: an easier pair never gets a smaller target. Left of tau that is so if
   and only if lam tau keeps to a closed form; right of it if lam tau keeps to another, or lam is
   small. N1: the same for c h at every margin. The limits are the code's. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target Corrected.
Open Scope R_scope.

Definition rises (f : R -> R) (P : R -> Prop) : Prop :=
  forall u v, P u -> P v -> u <= v -> f u <= f v.

Lemma rises_by_slope (f g : R -> R) a b :
  (forall x, a <= x <= b -> is_derive f x (g x)) -> (forall x, a <= x <= b -> 0 <= g x) ->
  a <= b -> f a <= f b.
Proof.
  intros Hf Hg [H | ->]; [| lra].
  destruct (MVT_cor2 f g a b H) as (w & E & ?).
  - intros; apply is_derive_Reals, Hf; lra.
  - assert (0 <= g w * (b - a)) by (apply Rmult_le_pos; [apply Hg |]; lra); lra.
Qed.

Lemma falls_before (f : R -> R) u slope : 0 < u -> is_derive f u slope -> slope < 0 ->
  exists v, 0 < v < u /\ f u < f v.
Proof.
  intros Hu Hd Hs; apply is_derive_Reals in Hd; destruct (Hd (- slope) ltac:(lra)) as [d Hdel].
  pose proof (cond_pos d); set (e := Rmin (d / 2) (u / 2)).
  assert (0 < e <= d / 2 /\ e <= u / 2) as (He & He2)
    by (unfold e, Rmin; destruct Rle_dec; lra).
  specialize (Hdel (- e) ltac:(lra) ltac:(rewrite Rabs_left; lra)).
  apply Rabs_def2 in Hdel; destruct Hdel as [Up _].
  exists (u - e); split; [lra |].
  replace (u + - e) with (u - e) in Up by ring.
  destruct (Rle_lt_dec (f (u - e)) (f u)) as [Hle |]; [exfalso | assumption].
  assert (0 <= (f (u - e) - f u) / - e); [| lra].
  replace ((f (u - e) - f u) / - e) with ((f u - f (u - e)) * / e) by (field; lra).
  apply Rmult_le_pos; [lra | left; apply Rinv_0_lt_compat; lra].
Qed.

(* lam tau up to which e + c + u c' is not negative where the coefficient is x. *)
Section Level.

Variables A B k e : R.
Hypotheses (HA : 0 <= A < 1) (HB : 1 < B) (Hk : 0 < k) (He : 0 <= e).

Definition level x := (e + A) / (x - A) + (e + B) / (B - x) + ln (k * (x - A) / (B - x)).
Definition turn := 2 * (e + A) * (e + B) / (2 * e + A + B) - e.
Definition least := 2 * (2 * e + A + B) / (B - A) + ln (k * (e + A) / (e + B)).

Let slope x :=
  (B - A) * (2 * e + A + B) * (x - turn) / (Rsqr (x - A) * Rsqr (B - x)).

Lemma level_derive x : A < x < B -> is_derive level x (slope x).
Proof.
  intros; unfold level, slope, turn.
  assert (0 < k * (x - A) / (B - x))
    by (apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat |]; lra).
  auto_derive; [repeat split; try lra; assumption |].
  unfold Rsqr; field; repeat split; lra.
Qed.

Lemma level_slope x : A < x < B -> exists y, 0 < y /\ slope x = y * (x - turn).
Proof.
  intros; exists ((B - A) * (2 * e + A + B) / (Rsqr (x - A) * Rsqr (B - x))); split.
  - apply Rdiv_lt_0_compat; apply Rmult_lt_0_compat; try apply Rlt_0_sqr; lra.
  - unfold slope, Rdiv; ring.
Qed.

Lemma level_rises x y : A < x -> turn <= x -> x <= y -> y < B -> level x <= level y.
Proof.
  intros; apply (rises_by_slope level slope); [| | assumption].
  - intros; apply level_derive; lra.
  - intros z Hz; destruct (level_slope z) as (w & ? & ->); [lra | apply Rmult_le_pos; lra].
Qed.

Lemma level_falls x y : A < x -> x <= y -> y <= turn -> y < B -> level y <= level x.
Proof.
  intros; apply Ropp_le_cancel.
  apply (rises_by_slope (fun z => - level z) (fun z => - slope z)); [| | assumption].
  - intros z Hz; apply (is_derive_opp level z), level_derive; lra.
  - intros z Hz; destruct (level_slope z) as (w & ? & ->); [lra |].
    rewrite Ropp_mult_distr_r; apply Rmult_le_pos; lra.
Qed.

Lemma turn_between : 0 < e + A -> A < turn < B
  /\ turn - A = (e + A) * (B - A) / (2 * e + A + B)
  /\ B - turn = (e + B) * (B - A) / (2 * e + A + B).
Proof.
  intros; assert (turn - A = (e + A) * (B - A) / (2 * e + A + B)) as E1
    by (unfold turn; field; lra).
  assert (B - turn = (e + B) * (B - A) / (2 * e + A + B)) as E2 by (unfold turn; field; lra).
  assert (0 < (e + A) * (B - A) / (2 * e + A + B) /\ 0 < (e + B) * (B - A) / (2 * e + A + B))
    by (split; apply Rdiv_lt_0_compat; try apply Rmult_lt_0_compat; lra).
  repeat split; lra.
Qed.

Lemma level_turn : 0 < e + A -> level turn = least.
Proof.
  intros H; destruct (turn_between H) as (_ & E1 & E2); unfold level, least; rewrite E1, E2.
  replace (k * ((e + A) * (B - A) / (2 * e + A + B)) / ((e + B) * (B - A) / (2 * e + A + B)))
    with (k * (e + A) / (e + B)) by (field; lra).
  f_equal; field; lra.
Qed.

Lemma level_least x : 0 < e + A -> A < x < B -> least <= level x.
Proof.
  intros H ?; pose proof (turn_between H); rewrite <- level_turn by assumption.
  destruct (Rle_lt_dec turn x); [apply level_rises | apply level_falls]; lra.
Qed.

End Level.

Section Region.

Variable s : schedule.
Hypothesis ok : valid s.

Notation A := (c_min s).
Notation B := (c_max s).
Notation k := (kappa s).
Notation level := (level A B k).
Notation least := (least A B k).
Notation turn := (turn A B).

Definition knee := (B - A) / ((1 - A) * (B - 1)).

Lemma level_one e : level e 1 = (1 + e) * knee.
Proof.
  destruct ok as (? & ? & ? & ?); unfold Region.level, knee, kappa.
  replace ((B - 1) / (1 - A) * (1 - A) / (B - 1)) with 1 by (field; lra).
  rewrite ln_1; field; lra.
Qed.

Lemma swapped x y u v : x = v -> y = u -> ln x + y = u + ln v.
Proof. intros -> ->; apply Rplus_comm. Qed.

(* The code's limits. *)
Lemma monotone_form :
  monotone_limit s = if Rlt_dec 0 (2 * A * B - (A + B)) then least 0 else knee.
Proof.
  destruct ok as (? & ? & ? & ?); unfold monotone_limit; cbv zeta.
  destruct (Rlt_dec 0 (2 * A * B - (A + B))).
  - rewrite !Rltb_true by lra; apply swapped; unfold kappa; field; lra.
  - rewrite !Rltb_false by lra; reflexivity.
Qed.

Lemma beyond_form : beyond_limit s = if Rlt_dec (A * B) 1 then least 1 else 2 * knee.
Proof.
  destruct ok as (? & ? & ? & ?); unfold beyond_limit; cbv zeta.
  destruct (Rlt_dec (A * B) 1).
  - rewrite Rltb_true by lra; apply swapped; unfold kappa; field; lra.
  - rewrite Rltb_false by lra; unfold knee; field; lra.
Qed.

Lemma amplified_form : amplified_limit s = least 0.
Proof.
  destruct ok as (? & ? & ? & ?); apply swapped; unfold kappa; field; lra.
Qed.

(* lam u by the coefficient at u. *)
Lemma time_of u : lam s * u = lam s * tau s - ln (k * (c s u - A) / (B - c s u)).
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (kappa_pos s ok) as Hk.
  set (E := exp (lam s * (u - tau s))); assert (0 < E) by apply exp_pos.
  assert (0 < k * E) by now apply Rmult_lt_0_compat.
  assert (c s u = A + (B - A) / (1 + k * E)) as Hc by reflexivity.
  assert (c s u - A = (B - A) / (1 + k * E)) as -> by (rewrite Hc; ring).
  assert (B - c s u = (B - A) * (k * E) / (1 + k * E)) as -> by (rewrite Hc; field; lra).
  replace (k * ((B - A) / (1 + k * E)) / ((B - A) * (k * E) / (1 + k * E))) with (/ E)
    by (field; repeat split; lra).
  unfold E; rewrite ln_Rinv, ln_exp by assumption; ring.
Qed.

(* The margin of a coefficient. *)
Lemma margin_of x : A < x < B -> exists u,
  c s u = x /\ lam s * u = lam s * tau s - ln (k * (x - A) / (B - x)).
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (kappa_pos s ok) as Hk; intros.
  assert (0 < k * (x - A) / (B - x))
    by (apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat |]; lra).
  set (E := k * (x - A) / (B - x)) in *.
  exists (tau s - ln E / lam s); split; [| field; lra].
  unfold c; replace (lam s * (tau s - ln E / lam s - tau s)) with (- ln E) by (field; lra).
  rewrite exp_opp, exp_ln by assumption; unfold E; field; repeat split; lra.
Qed.

Definition product u := c s u * u.
Definition product_slope u := c s u - lam s * u * ((c s u - A) * (B - c s u) / (B - A)).

Lemma product_derive u : is_derive product u (product_slope u).
Proof.
  pose proof (c_derive s ok u) as Hc; unfold product.
  evar_last;
    [apply (is_derive_mult (c s) (fun u => u)); [exact Hc | apply is_derive_id | apply Rmult_comm] |].
  unfold product_slope, plus, mult, one; simpl; unfold mult, one, Rdiv; simpl; ring.
Qed.

(* e + c + u c' by how far lam tau is from the level. *)
Lemma slope_form e u :
  e + product_slope u = (c s u - A) * (B - c s u) / (B - A) * (level e (c s u) - lam s * tau s)
  /\ 0 < (c s u - A) * (B - c s u) / (B - A).
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (c_range s ok u); pose proof (time_of u) as Ht.
  unfold product_slope, Region.level; set (x := c s u) in *; rewrite Ht; split.
  - field; lra.
  - apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat |]; lra.
Qed.

Lemma slope_nonneg e u : lam s * tau s <= level e (c s u) -> 0 <= e + product_slope u.
Proof. intros; destruct (slope_form e u) as [-> ?]; apply Rmult_le_pos; lra. Qed.

Lemma product_falls u : 0 < u -> level 0 (c s u) < lam s * tau s ->
  exists v, 0 < v < u /\ product u < product v.
Proof.
  intros Hu Hl; apply falls_before with (product_slope u); [assumption | apply product_derive |].
  destruct (slope_form 0 u) as [E ?]; rewrite Rplus_0_l in E; rewrite E.
  assert (0 < (c s u - A) * (B - c s u) / (B - A) * (lam s * tau s - level 0 (c s u)))
    by (apply Rmult_lt_0_compat; lra); lra.
Qed.

Lemma target_left u : 0 <= u <= tau s -> target s u u = product u.
Proof.
  intros; rewrite T2_target, S1_formula, Rabs_right by (rewrite ?Rabs_right; try assumption; lra).
  reflexivity.
Qed.

Lemma target_right u : tau s <= u ->
  target s u u = u + (softplus (- u) - softplus (- product u)).
Proof.
  destruct ok as (? & ? & ? & ?); intros.
  rewrite T3_target, ratio_softplus, S1_formula, Rabs_right by (try assumption; lra); reflexivity.
Qed.

Lemma right_derive u : is_derive (fun u => u + (softplus (- u) - softplus (- product u))) u
  (sigmoid u + sigmoid (- product u) * product_slope u).
Proof.
  assert (forall f u d, is_derive f u d ->
    is_derive (fun u => softplus (- f u)) u (- sigmoid (- f u) * d)) as H.
  { intros f x d Hf; evar_last.
    - apply (is_derive_comp softplus (fun u => - f u)); [apply softplus_derive |].
      apply (is_derive_opp f), Hf.
    - unfold scal, opp; simpl; unfold mult; simpl; ring. }
  assert (is_derive (fun u : R => u) u 1) as Hid by apply (is_derive_id (K := R_AbsRing)).
  evar_last.
  - apply (is_derive_plus (fun u : R => u) (fun u => softplus (- u) - softplus (- product u)));
      [exact Hid |].
    apply (is_derive_minus (fun u => softplus (- u)) (fun u => softplus (- product u)));
      [apply (H (fun u => u)), Hid | apply H, product_derive].
  - unfold plus, minus, opp, plus; simpl; rewrite sigmoid_opp; ring.
Qed.

Lemma c_at_least_one u : u <= tau s -> 1 <= c s u.
Proof. intros [H | ->]; [left; now apply c_above | rewrite c_tau by assumption; lra]. Qed.

Lemma c_at_most_one u : tau s <= u -> c s u <= 1.
Proof. intros [H | <-]; [left; now apply c_below | rewrite c_tau by assumption; lra]. Qed.

Lemma positive_turn : 0 < 2 * A * B - (A + B) -> 0 < A.
Proof.
  destruct ok as (? & ? & ? & ?); intros; destruct (Req_dec A 0) as [E |]; [| lra].
  rewrite E in *; lra.
Qed.

Lemma left_level x : 1 <= x < B -> monotone_limit s <= level 0 x.
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (kappa_pos s ok); intros; rewrite monotone_form.
  destruct Rlt_dec as [Hgt | Hle].
  - pose proof (positive_turn Hgt); apply level_least; lra.
  - replace knee with (level 0 1) by (rewrite level_one; ring); apply level_rises; try lra.
    unfold Region.turn; rewrite !Rplus_0_l, Rmult_0_r, Rplus_0_l, Rminus_0_r.
    apply Rmult_le_reg_r with (A + B); [lra |].
    unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra; lra.
Qed.

Lemma right_level x : A < x <= 1 -> beyond_limit s <= level 1 x.
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (kappa_pos s ok); intros; rewrite beyond_form.
  destruct Rlt_dec as [Hlt | Hge]; [apply level_least; lra |].
  replace (2 * knee) with (level 1 1) by (rewrite level_one; ring); apply level_falls; try lra.
  unfold Region.turn; apply Rmult_le_reg_r with (2 * 1 + A + B); [lra |].
  replace ((2 * (1 + A) * (1 + B) / (2 * 1 + A + B) - 1) * (2 * 1 + A + B))
    with (2 * (1 + A) * (1 + B) - (2 * 1 + A + B)) by (field; lra); lra.
Qed.

(* Left of tau: exactly. *)
Theorem T5_left :
  rises (fun u => target s u u) (fun u => 0 <= u <= tau s) <-> lam s * tau s <= monotone_limit s.
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (kappa_pos s ok); split.
  - intros Hm; destruct (Rle_lt_dec (lam s * tau s) (monotone_limit s)) as [| Hgt];
      [assumption | exfalso].
    assert (exists u, 0 < u <= tau s /\ level 0 (c s u) < lam s * tau s) as (u & Hu & Hl).
    { rewrite monotone_form in Hgt; destruct Rlt_dec as [Ht | _] in Hgt.
      - pose proof (positive_turn Ht).
        destruct (turn_between A B 0) as (Hb & E1 & E2); [lra.. |].
        destruct (margin_of (turn 0) Hb) as (u & Hc & Hu); exists u.
        pose proof (level_turn A B k 0 ltac:(lra) ltac:(lra) ltac:(lra) ltac:(lra)) as El.
        rewrite Hc, El by lra; split; [split |]; try lra.
        + assert (0 < lam s * u).
          { rewrite <- El in Hgt by lra; unfold Region.level in Hgt.
            assert (0 < (0 + A) / (turn 0 - A) + (0 + B) / (B - turn 0)); [| lra].
            apply Rplus_lt_0_compat; apply Rdiv_lt_0_compat; lra. }
          apply (Rmult_lt_reg_l (lam s)); lra.
        + apply Rnot_lt_le; intros Hlt; pose proof (c_below s ok u Hlt) as Hbelow.
          rewrite Hc in Hbelow.
          assert (turn 0 * (A + B) < 1 * (A + B)) as Hx by (apply Rmult_lt_compat_r; lra).
          unfold Region.turn in Hx; replace ((2 * (0 + A) * (0 + B) / (2 * 0 + A + B) - 0) * (A + B))
            with (2 * A * B) in Hx by (field; lra); lra.
      - exists (tau s); rewrite c_tau, level_one by assumption; lra. }
    destruct (product_falls u) as (v & Hv & Hf); [lra.. |].
    assert (target s v v <= target s u u) as Hle by (apply Hm; lra).
    rewrite !target_left in Hle by lra; lra.
  - intros Hle u v Hu Hv Huv; rewrite !target_left by lra.
    apply (rises_by_slope product product_slope); [| | assumption].
    + intros; apply product_derive.
    + intros x Hx; pose proof (c_range s ok x); pose proof (c_at_least_one x ltac:(lra)).
      pose proof (left_level (c s x) ltac:(lra)).
      pose proof (slope_nonneg 0 x ltac:(lra)); lra.
Qed.

(* Right of it: at every lam by lam tau, and at a small lam whatever tau. *)
Theorem T5_right : lam s * tau s <= beyond_limit s \/ lam s <= sigmoid (tau s) ->
  rises (fun u => target s u u) (fun u => tau s <= u).
Proof.
  destruct ok as (? & ? & ? & ?); intros Hor u v Hu Hv Huv; rewrite !target_right by lra.
  apply (rises_by_slope (fun u => u + (softplus (- u) - softplus (- product u)))
    (fun u => sigmoid u + sigmoid (- product u) * product_slope u));
    [intros; apply right_derive | | assumption].
  intros x Hx; pose proof (c_range s ok x) as Hc; pose proof (c_at_most_one x ltac:(lra)).
  pose proof (sigmoid_pos (- product x)) as Hp.
  destruct Hor as [Hl | Hl].
  - pose proof (right_level (c s x) ltac:(lra)); pose proof (slope_nonneg 1 x ltac:(lra)).
    assert (sigmoid (- product x) <= sigmoid x).
    { assert (0 <= product x) by (apply Rmult_le_pos; lra).
      left; apply sigmoid_increasing; lra. }
    assert (0 <= sigmoid (- product x) * (1 + product_slope x)) by (apply Rmult_le_pos; lra); lra.
  - (* sigmoid x = sigmoid x (1 + e^(c x)) sigmoid (- c x), and e^(c x) > c x *)
    assert (sigmoid (tau s) <= sigmoid x) as Hs
      by (destruct (Req_dec (tau s) x) as [<- |]; [lra | left; apply sigmoid_increasing; lra]).
    assert (sigmoid x = sigmoid (- product x) * (sigmoid x * (1 + exp (product x)))) as ->
      by (unfold sigmoid at 2; rewrite Ropp_involutive; pose proof (exp_pos (product x)); field; lra).
    rewrite <- Rmult_plus_distr_l; apply Rmult_le_pos; [lra |].
    pose proof (exp_ineq1_le (product x)).
    assert (lam s * product x <= sigmoid x * exp (product x)).
    { apply Rmult_le_compat; try lra; apply Rmult_le_pos; lra. }
    assert ((c s x - A) * (B - c s x) / (B - A) <= c s x).
    { apply Rmult_le_reg_r with (B - A); [lra |].
      unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra; rewrite Rmult_1_r.
      apply Rmult_le_compat; lra. }
    assert (0 <= lam s * x) by (apply Rmult_le_pos; lra).
    assert (lam s * x * ((c s x - A) * (B - c s x) / (B - A)) <= lam s * x * c s x)
      by (apply Rmult_le_compat_l; assumption).
    pose proof (sigmoid_pos x); unfold product_slope, product in *; lra.
Qed.

Theorem T5_region : lam s * tau s <= monotone_limit s ->
  lam s * tau s <= beyond_limit s \/ lam s <= sigmoid (tau s) ->
  rises (fun u => target s u u) (fun u => 0 <= u).
Proof.
  destruct ok as (? & ? & ? & ?); intros HL HR; apply T5_left in HL; apply T5_right in HR.
  intros u v Hu Hv Huv.
  destruct (Rle_lt_dec v (tau s)); [apply HL; lra |].
  destruct (Rle_lt_dec (tau s) u); [apply HR; lra |].
  apply Rle_trans with (target s (tau s) (tau s)); [apply HL | apply HR]; lra.
Qed.

(* N1: c h rises at every margin, exactly where lam tau is at most amplified_limit. *)
Theorem N1_order : 0 < A ->
  rises (fun u => bounded_target s u u) (fun u => 0 <= u) <-> lam s * tau s <= amplified_limit s.
Proof.
  destruct ok as (? & ? & ? & ?); pose proof (kappa_pos s ok); intros HA; rewrite amplified_form.
  assert (forall u, 0 <= u -> bounded_target s u u = product u) as Form
    by (intros; rewrite N1_target, S1_formula, Rabs_right by (try assumption; lra); reflexivity).
  split.
  - intros Hm; destruct (Rle_lt_dec (lam s * tau s) (least 0)) as [| Hgt]; [assumption | exfalso].
    destruct (turn_between A B 0) as (Hb & _); [lra.. |].
    destruct (margin_of (turn 0) Hb) as (u & Hc & Hu).
    pose proof (level_turn A B k 0 ltac:(lra) ltac:(lra) ltac:(lra) ltac:(lra)) as El.
    assert (0 < u).
    { apply (Rmult_lt_reg_l (lam s)); [lra |]; rewrite <- El in Hgt; unfold Region.level in Hgt.
      assert (0 < (0 + A) / (turn 0 - A) + (0 + B) / (B - turn 0)); [| lra].
      apply Rplus_lt_0_compat; apply Rdiv_lt_0_compat; lra. }
    destruct (product_falls u) as (v & Hv & Hf); [lra | rewrite Hc, El; lra |].
    assert (bounded_target s v v <= bounded_target s u u) as Hle by (apply Hm; lra).
    rewrite !Form in Hle by lra; lra.
  - intros Hle u v Hu Hv Huv; rewrite !Form by lra.
    apply (rises_by_slope product product_slope); [intros; apply product_derive | | assumption].
    intros x Hx; pose proof (c_range s ok x).
    pose proof (level_least A B k 0 ltac:(lra) ltac:(lra) ltac:(lra) ltac:(lra) (c s x)
      ltac:(lra) ltac:(lra)).
    pose proof (slope_nonneg 0 x ltac:(lra)); lra.
Qed.

End Region.

(* The released family, c_min = 1/c_max: the order is kept iff lam tau <= (c_max + 1)/(c_max - 1). *)
Theorem T5_released_family cm l t : 1 < cm -> 0 < l -> 0 < t ->
  let s := Schedule cm (/ cm) l t in
  rises (fun u => target s u u) (fun u => 0 <= u) <-> l * t <= (cm + 1) / (cm - 1).
Proof.
  intros Hc Hl Ht s.
  assert (0 < / cm < 1) as Hi.
  { split; [apply Rinv_0_lt_compat; lra | rewrite <- Rinv_1; apply Rinv_lt_contravar; lra]. }
  assert (valid s) as ok by (unfold valid, s; simpl; lra).
  assert (knee s = (cm + 1) / (cm - 1)) as Hk by (unfold knee, s; simpl; field; repeat split; lra).
  assert (0 < (cm + 1) / (cm - 1)) by (apply Rdiv_lt_0_compat; lra).
  assert (/ cm * cm = 1) as H1 by (apply Rinv_l; lra).
  assert (monotone_limit s = (cm + 1) / (cm - 1)) as Hm.
  { rewrite monotone_form, <- Hk by assumption; destruct Rlt_dec as [Hn |]; [exfalso | reflexivity].
    unfold s in Hn; simpl in Hn; rewrite (Rmult_assoc 2), H1 in Hn.
    apply (Rmult_lt_compat_r cm) in Hn; [| lra]; rewrite Rmult_minus_distr_r in Hn.
    rewrite Rmult_plus_distr_r, H1 in Hn.
    pose proof (Rle_0_sqr (cm - 1)) as Hs; unfold Rsqr in Hs; lra. }
  rewrite <- Hm; split.
  - intros Hr; apply (T5_left s ok); intros u v Hu Hv Huv; apply Hr; lra.
  - intros Hle; apply (T5_region s ok); [exact Hle | left].
    rewrite beyond_form by assumption; destruct Rlt_dec as [Hn |].
    + exfalso; unfold s in Hn; simpl in Hn; lra.
    + rewrite Hk; rewrite Hm in Hle; unfold s; simpl; lra.
Qed.
