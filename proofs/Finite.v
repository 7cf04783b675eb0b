(* Finitely many responses, or pairs: what all samplings of pairs agree on (L4), the least variance
   (N4) and what a target's error costs (R5). *)

From Coq Require Import Reals Lra Lia Arith.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target.
Open Scope R_scope.

Fixpoint total (f : nat -> R) (n : nat) : R :=
  match n with O => 0 | S n => total f n + f n end.

Lemma total_ext f g n : (forall i, (i < n)%nat -> f i = g i) -> total f n = total g n.
Proof. induction n; intros H; simpl; [reflexivity | rewrite IHn, H by auto with arith; ring]. Qed.

Lemma total_linear a b f g n : total (fun i => a * f i + b * g i) n = a * total f n + b * total g n.
Proof. induction n; simpl; [| rewrite IHn]; ring. Qed.

Lemma total_nonneg f n : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= total f n.
Proof.
  induction n; intros H; simpl; [lra |]; specialize (IHn ltac:(auto with arith)).
  specialize (H n ltac:(auto with arith)); lra.
Qed.

Lemma total_zero f n : (forall i, (i < n)%nat -> 0 <= f i) ->
  total f n = 0 -> forall i, (i < n)%nat -> f i = 0.
Proof.
  induction n; intros H E i Hi; [lia |]; simpl in E.
  pose proof (total_nonneg f n ltac:(auto with arith)); pose proof (H n ltac:(auto with arith)).
  destruct (Nat.eq_dec i n) as [-> |]; [lra | apply IHn; auto with arith; [lra | lia]].
Qed.

Lemma total_pick f n k : (k < n)%nat -> (forall i, (i < n)%nat -> i <> k -> f i = 0) ->
  total f n = f k.
Proof.
  induction n; intros Hk H; [lia |]; simpl; destruct (Nat.eq_dec k n) as [-> | Hne].
  - rewrite (total_ext f (fun _ => 0 * 0 + 0 * 0) n), total_linear by (intros; rewrite H; lia || ring).
    ring.
  - rewrite IHn, (H n) by (auto with arith || lia); ring.
Qed.

(* Responses 0 to n - 1 of rewards r and scores s, whose pairs along the edges of a graph are sampled
   at the rates m: no score gains by a small change. *)
Definition stationary_table (slope : R -> R -> R) (edge : nat -> nat -> bool) (r s : nat -> R)
    (m : nat -> nat -> R) (n : nat) : Prop :=
  forall i, (i < n)%nat ->
    total (fun j => if edge i j then m i j * slope (s i - s j) (r i - r j) else 0) n = 0.

(* However the pairs of a graph are sampled the scores are optimal: only if each pair is at its own
   target. On a cycle of the graph the targets then add up to 0. *)
Theorem L4_any_graph slope edge r s n : (forall i j, edge i j = edge j i) ->
  (forall m, (forall i j, m i j = m j i /\ 0 < m i j) -> stationary_table slope edge r s m n)
  <-> forall i j, (i < n)%nat -> (j < n)%nat -> edge i j = true ->
      slope (s i - s j) (r i - r j) = 0.
Proof.
  intros Sym; split.
  - intros H i j Hi Hj He.
    set (one := fun _ _ : nat => 1).
    set (more := fun a b => if (andb (a =? i) (b =? j) || andb (a =? j) (b =? i))%nat%bool
      then 2 else 1).
    pose proof (H one ltac:(unfold one; intros; lra) i Hi) as E1.
    assert (forall a b, more a b = more b a /\ 0 < more a b) as Hmore.
    { intros a b; unfold more; destruct (Nat.eqb_spec a i), (Nat.eqb_spec b j),
        (Nat.eqb_spec a j), (Nat.eqb_spec b i); simpl; lra. }
    pose proof (H more Hmore i Hi) as E2.
    set (f m k := if edge i k then m i k * slope (s i - s k) (r i - r k) else 0) in *.
    change (total (f one) n = 0) in E1; change (total (f more) n = 0) in E2.
    assert (total (fun k => 1 * f more k + - 1 * f one k) n = 0) as E
      by (rewrite total_linear, E1, E2; ring).
    rewrite (total_pick _ n j Hj) in E.
    + unfold f, more, one in E; rewrite He, !Nat.eqb_refl in E; simpl in E; lra.
    + intros k _ Hk; unfold f, more, one; destruct (edge i k); [| ring].
      destruct (Nat.eqb_spec k j); [contradiction |]; rewrite Bool.andb_false_r.
      destruct (Nat.eqb_spec i j), (Nat.eqb_spec k i); simpl; try ring; congruence.
  - intros H m _ i Hi; rewrite (total_ext _ (fun _ => 0 * 0 + 0 * 0)), total_linear; [ring |].
    intros j Hj; destruct (edge i j) eqn:He; [rewrite H by assumption |]; ring.
Qed.

(* On a triangle, so: no three responses with rewards a and b apart, below tau, can all be met. *)
Theorem L4_superadditive s a b : valid s -> 0 < a -> 0 < b -> a + b <= tau s ->
  target s (a + b) (a + b) < target s a a + target s b b.
Proof.
  intros ok Ha Hb Hab; pose proof (S1_range s ok a); pose proof (S1_range s ok b).
  rewrite !T2_target by (rewrite ?Rabs_right; try assumption; lra).
  pose proof (S1_decreasing s ok a (a + b) ltac:(rewrite !Rabs_right; lra)).
  pose proof (S1_decreasing s ok b (a + b) ltac:(rewrite !Rabs_right; lra)).
  assert (0 < (coefficient s a - coefficient s (a + b)) * a) by (apply Rmult_lt_0_compat; lra).
  assert (0 < (coefficient s b - coefficient s (a + b)) * b) by (apply Rmult_lt_0_compat; lra).
  lra.
Qed.

(* N4. A label's score at z, the slope of its loss: its mean square over the two labels. *)
Definition score_square (log_w : R -> R) (z h_true h : R) : R :=
  sigmoid h_true * (weight log_w h * sigmoid (- z)) ^ 2
  + sigmoid (- h_true) * (weight log_w (- h) * sigmoid z) ^ 2.

(* At its target a pair has the information of its label, whatever the weight. *)
Theorem N4_information log_w h_true h :
  let z := effective_target (ratio_of log_w) h_true h in
  risk_curvature log_w z h_true h ^ 2
  = score_square log_w z h_true h * (sigmoid h_true * sigmoid (- h_true)).
Proof.
  intros z; pose proof (mass_odds log_w h_true h) as E; fold z in E.
  rewrite curvature_form; unfold score_square, p, q in *.
  rewrite E, (sigmoid_odds_mult z).
  set (x := exp z) in *; set (y := sigmoid (- z)).
  set (u := sigmoid h_true) in *; set (v := sigmoid (- h_true)) in *.
  set (k := weight log_w h) in *; set (l := weight log_w (- h)) in *.
  assert (y = / (1 + x)) as Ey by (unfold y, sigmoid; rewrite Ropp_involutive; reflexivity).
  assert (0 < x) by apply exp_pos.
  replace (u * (k * y) ^ 2) with (u * k * (k * y ^ 2)) by ring; rewrite E.
  replace ((v * l * x * (k * y ^ 2) + v * (l * (x * y)) ^ 2) * (u * v))
    with (v * v * l * x * y ^ 2 * (u * k + u * l * x)) by ring.
  rewrite E, Ey.
  replace (u * l * x) with (u * l * x) by ring.
  assert (u + v = 1) as Huv by (unfold u, v; rewrite sigmoid_opp; ring).
  replace (v * l * x + u * l * x) with ((u + v) * (l * x)) by ring; rewrite Huv.
  field; lra.
Qed.

(* The weight that has a mean square of its curvature, and any odd targets T. *)
Theorem N4_efficient T h : (forall h, T (- h) = - T h) ->
  let log_w h := ln (sigmoid (- h) / sigmoid (- T h)) in
  effective_target (ratio_of log_w) h h = T h
  /\ score_square log_w (T h) h h = risk_curvature log_w (T h) h h.
Proof.
  intros odd log_w.
  assert (forall h, weight log_w h = sigmoid (- h) / sigmoid (- T h)) as W
    by (intros; apply exp_ln, Rdiv_lt_0_compat; apply sigmoid_pos).
  split.
  - unfold effective_target, ratio_of, log_w; rewrite odd, !Ropp_involutive.
    rewrite (sigmoid_odds_mult h), (sigmoid_odds_mult (T h)).
    pose proof (sigmoid_pos (- h)); pose proof (sigmoid_pos (- T h)).
    replace (exp h * sigmoid (- h) / (exp (T h) * sigmoid (- T h)))
      with (exp h * (/ exp (T h) * (sigmoid (- h) / sigmoid (- T h))))
      by (field; split; [lra | apply Rgt_not_eq, exp_pos]).
    rewrite <- exp_opp, !ln_mult, !ln_exp
      by (unfold Rdiv; repeat first [apply exp_pos | apply sigmoid_pos | apply Rmult_lt_0_compat
          | apply Rinv_0_lt_compat]); ring.
  - rewrite curvature_form; unfold score_square, p, q; rewrite !W, odd, !Ropp_involutive.
    pose proof (sigmoid_pos (T h)); pose proof (sigmoid_pos (- T h)); rewrite sigmoid_opp in *.
    rewrite (sigmoid_opp (T h)) in *; field; lra.
Qed.

(* For one parameter and features x the fit has the variance (sum b x^2)/(sum a x^2)^2, a the
   curvatures and b the mean squares: no less than by the information a^2/b, and as little only if b/a
   is the same for all pairs that count. *)
Theorem N4_least_variance a b x n : (forall i, 0 < a i /\ 0 < b i) ->
  (exists i, (i < n)%nat /\ x i <> 0) ->
  let H := total (fun i => a i * x i ^ 2) n in
  let G := total (fun i => b i * x i ^ 2) n in
  let information := total (fun i => a i ^ 2 / b i * x i ^ 2) n in
  1 / information <= G / H ^ 2
  /\ (1 / information = G / H ^ 2 <-> forall i, (i < n)%nat -> x i <> 0 -> b i / a i = G / H).
Proof.
  intros Hab [k [Hk Hx]] H G information.
  assert (forall f, (forall i, 0 < f i) -> 0 < total (fun i => f i * x i ^ 2) n) as Pos.
  { intros f Hf; assert (forall i, 0 <= f i * x i ^ 2) as Hn
      by (intros i; apply Rmult_le_pos; [left; apply Hf | apply pow2_ge_0]).
    destruct (total_nonneg (fun i => f i * x i ^ 2) n (fun i _ => Hn i)) as [| E]; [assumption | exfalso].
    pose proof (total_zero _ n (fun i _ => Hn i) (eq_sym E) k Hk) as E0; cbv beta in E0.
    assert (0 < f k * x k ^ 2); [apply Rmult_lt_0_compat; [apply Hf | now apply pow2_gt_0] | lra]. }
  assert (0 < H) by (apply Pos; apply Hab); assert (0 < G) by (apply Pos; apply Hab).
  assert (0 < information).
  { apply (Pos (fun i => a i ^ 2 / b i)); intros i; destruct (Hab i).
    apply Rdiv_lt_0_compat; [apply pow_lt |]; assumption. }
  set (gap := fun i => b i * (a i / b i - H / G) ^ 2 * x i ^ 2).
  assert (forall i, 0 <= gap i) as Hgap.
  { intros i; destruct (Hab i); apply Rmult_le_pos; [apply Rmult_le_pos; [lra |] |]; apply pow2_ge_0. }
  assert (total gap n = information - H ^ 2 / G) as Egap.
  { rewrite (total_ext gap (fun i => 1 * (1 * (a i ^ 2 / b i * x i ^ 2) + - (2 * H / G)
      * (a i * x i ^ 2)) + H ^ 2 / G ^ 2 * (b i * x i ^ 2))).
    - rewrite !total_linear; fold H G information; field; lra.
    - intros i _; destruct (Hab i); unfold gap; field; lra. }
  assert (1 / information = G / H ^ 2 <-> information = H ^ 2 / G) as Same.
  { split; intros E.
    - replace information with (1 / (1 / information)) by (field; lra); rewrite E; field; lra.
    - rewrite E; field; lra. }
  split.
  - pose proof (total_nonneg gap n (fun i _ => Hgap i)).
    assert (0 < H ^ 2 / G) by (apply Rdiv_lt_0_compat; [apply pow_lt |]; assumption).
    replace (G / H ^ 2) with (1 / (H ^ 2 / G)) by (field; lra).
    unfold Rdiv at 1 2; rewrite !Rmult_1_l; apply Rinv_le_contravar; lra.
  - rewrite Same; split.
    + intros E i Hi Hxi; destruct (Hab i).
      pose proof (total_zero gap n (fun i _ => Hgap i) ltac:(lra) i Hi) as E0; unfold gap in E0.
      assert (0 < x i ^ 2) by now apply pow2_gt_0.
      apply Rmult_integral in E0 as [E0 |]; [| lra].
      apply Rmult_integral in E0 as [| E0]; [lra |].
      assert (a i / b i = H / G) as Er.
      { destruct (Req_dec (a i / b i - H / G) 0) as [| Hne]; [lra |].
        pose proof (pow2_gt_0 _ Hne); lra. }
      replace (b i / a i) with (1 / (a i / b i)) by (field; lra); rewrite Er; field; lra.
    + intros E; enough (total gap n = 0) by lra.
      rewrite (total_ext gap (fun _ => 0 * 0 + 0 * 0)), total_linear; [ring |].
      intros i Hi; destruct (Hab i); unfold gap; destruct (Req_dec (x i) 0) as [-> | Hxi]; [ring |].
      replace (a i / b i) with (1 / (b i / a i)) by (field; lra); rewrite (E i Hi Hxi); field; lra.
Qed.

(* R5. The regularized value of a policy over n responses, and the policy of the largest one. *)
Definition value (beta : R) (r ref policy : nat -> R) (n : nat) : R :=
  total (fun i => policy i * (r i - beta * ln (policy i / ref i))) n.

Definition divergence (policy other : nat -> R) (n : nat) : R :=
  total (fun i => policy i * ln (policy i / other i)) n.

Definition best (beta : R) (r ref : nat -> R) (n i : nat) : R :=
  ref i * exp (r i / beta) / total (fun j => ref j * exp (r j / beta)) n.

Theorem R5_identity beta r ref policy n : 0 < beta -> (forall i, 0 < ref i) ->
  (forall i, 0 <= policy i) -> total policy n = 1 ->
  value beta r ref (best beta r ref n) n - value beta r ref policy n
  = beta * divergence policy (best beta r ref n) n.
Proof.
  intros Hb Href Hpi Hone; set (Z := total (fun j => ref j * exp (r j / beta)) n).
  assert (forall j, 0 < ref j * exp (r j / beta)) as Hterm
    by (intros; apply Rmult_lt_0_compat; [apply Href | apply exp_pos]).
  assert (0 < Z) as HZ.
  { destruct n; [simpl in Hone; lra |].
    pose proof (total_nonneg (fun j => ref j * exp (r j / beta)) n
      ltac:(intros; left; apply Hterm)); pose proof (Hterm n); unfold Z; simpl; lra. }
  assert (forall i, 0 < best beta r ref n i) as Hbest
    by (intros; apply Rdiv_lt_0_compat; [apply Hterm | exact HZ]).
  assert (forall rho, (forall i, 0 <= rho i) -> total rho n = 1 ->
    value beta r ref rho n = beta * ln Z - beta * divergence rho (best beta r ref n) n) as Form.
  { intros rho Hrho H1; unfold value, divergence.
    rewrite (total_ext _ (fun i => beta * ln Z * rho i
      + - beta * (rho i * ln (rho i / best beta r ref n i)))), total_linear, H1; [ring |].
    intros i _; destruct (Hrho i) as [Hi | <-]; [| ring].
    pose proof (Href i); pose proof (exp_pos (r i / beta)); pose proof (Hbest i).
    assert (forall y, 0 < y -> ln (rho i / y) = ln (rho i) - ln y) as Quot
      by (intros; unfold Rdiv; rewrite ln_mult, ln_Rinv by (assumption || now apply Rinv_0_lt_compat);
          ring).
    rewrite !Quot by assumption; unfold best; fold Z; unfold Rdiv at 1.
    rewrite !ln_mult, ln_Rinv, ln_exp
      by (try apply Rmult_lt_0_compat; try apply Rinv_0_lt_compat; assumption).
    field; lra. }
  assert (total (best beta r ref n) n = 1) as Hsum.
  { unfold best; fold Z; rewrite (total_ext _ (fun i => / Z * (ref i * exp (r i / beta)) + 0 * 0))
      by (intros; unfold Rdiv; ring).
    rewrite total_linear; fold Z; field; lra. }
  rewrite !Form by (try assumption; intros; left; apply Hbest).
  assert (divergence (best beta r ref n) (best beta r ref n) n = 0) as ->; [| ring].
  unfold divergence; rewrite (total_ext _ (fun _ => 0 * 0 + 0 * 0)), total_linear; [ring |].
  intros i _; pose proof (Hbest i); unfold Rdiv; rewrite Rinv_r, ln_1 by lra; ring.
Qed.

(* Two responses, log-odds m where m' is right. *)
Theorem R5_pair m m' :
  let divergence := sigmoid m * ln (sigmoid m / sigmoid m')
    + sigmoid (- m) * ln (sigmoid (- m) / sigmoid (- m')) in
  divergence <= (m - m') ^ 2 / 8 /\ divergence <= Rabs (m - m').
Proof.
  intros D.
  assert (forall x, softplus x = softplus (- x) + x) as Odds.
  { intros x; unfold softplus.
    replace (1 + exp x) with (exp x * (1 + exp (- x)))
      by (rewrite Rmult_plus_distr_l, <- exp_plus, Rplus_opp_r, exp_0; ring).
    rewrite ln_mult, ln_exp by (try apply exp_pos; apply one_plus_exp_pos); ring. }
  set (f := fun x => softplus (- m') - softplus (- x) + sigmoid (- x) * (m' - x)).
  assert (D = f m) as ->.
  { unfold D, f; rewrite !ratio_softplus, !Ropp_involutive, (Odds m), (Odds m'), sigmoid_opp; ring. }
  assert (forall x, is_derive (fun x => (x - m') ^ 2 / 8 - f x) x
    ((x - m') * (1 / 4 - sigmoid x * sigmoid (- x)))) as Hd.
  { intros x; unfold f, softplus, sigmoid; auto_derive.
    - repeat split; try apply one_plus_exp_pos; apply Rgt_not_eq, one_plus_exp_pos.
    - rewrite !Ropp_involutive, exp_opp; pose proof (exp_pos x); field; lra. }
  assert (forall x, 0 <= 1 / 4 - sigmoid x * sigmoid (- x)) as Hq.
  { intros x; rewrite sigmoid_opp; pose proof (Rle_0_sqr (sigmoid x - / 2)) as H; unfold Rsqr in H.
    lra. }
  pose proof (sigmoid_pos (- m)); pose proof (sigmoid_lt_1 (- m)).
  assert (f m' = 0) as F0 by (unfold f; ring).
  split.
  - destruct (Rtotal_order m m') as [Hlt | [-> | Hgt]]; [| rewrite F0; lra |].
    + destruct (mean_value _ _ Hd m m' Hlt) as (w & E & ? & ?); cbv beta in E; rewrite F0 in E.
      pose proof (Hq w); assert (0 <= (m' - w) * (1 / 4 - sigmoid w * sigmoid (- w)) * (m' - m))
        by (apply Rmult_le_pos; [apply Rmult_le_pos |]; lra); lra.
    + destruct (mean_value _ _ Hd m' m Hgt) as (w & E & ? & ?); cbv beta in E; rewrite F0 in E.
      pose proof (Hq w); assert (0 <= (w - m') * (1 / 4 - sigmoid w * sigmoid (- w)) * (m - m'))
        by (apply Rmult_le_pos; [apply Rmult_le_pos |]; lra); lra.
  - unfold f; destruct (Rle_lt_dec m m') as [Hle | Hgt].
    + rewrite Rabs_left1 by lra; pose proof (softplus_le (- m') (- m) ltac:(lra)).
      assert (sigmoid (- m) * (m' - m) <= 1 * (m' - m)) by (apply Rmult_le_compat_r; lra); lra.
    + rewrite Rabs_right by lra; rewrite (Odds (- m)), (Odds (- m')), !Ropp_involutive.
      pose proof (softplus_le m' m ltac:(lra)).
      assert (0 <= sigmoid (- m) * (m - m')) by (apply Rmult_le_pos; lra); lra.
Qed.
