(* L1: slope and curvature of a pair's risk are bounded as DPO's are, whatever the weight; L5: a
   constant coefficient is a change of temperature. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Risk.
Open Scope R_scope.

Section Landscape.

Variable log_w : R -> R.  (* of any weight *)

Notation p := (p log_w).
Notation q := (q log_w).

Theorem L1_curvature z h_true h :
  is_derive (fun z => risk_slope log_w z h_true h) z (risk_curvature log_w z h_true h).
Proof.
  apply is_derive_ext with (fun z => q h_true h * sigmoid z - p h_true h * sigmoid (- z)).
  { intros; symmetry; apply slope_form. }
  rewrite curvature_form; unfold sigmoid; auto_derive.
  { repeat split; apply Rgt_not_eq, one_plus_exp_pos. }
  rewrite !Ropp_involutive, exp_opp; pose proof (exp_pos z); field; lra.
Qed.

Lemma sigmoid_product_quarter z : sigmoid z * sigmoid (- z) <= / 4.
Proof.
  rewrite sigmoid_opp; pose proof (Rle_0_sqr (sigmoid z - / 2)) as H; unfold Rsqr in H; lra.
Qed.

Lemma sigmoid_product_pos z : 0 < sigmoid z * sigmoid (- z).
Proof. apply Rmult_lt_0_compat; apply sigmoid_pos. Qed.

Theorem L1_curvature_bounds z h_true h :
  0 < risk_curvature log_w z h_true h <= (p h_true h + q h_true h) / 4.
Proof.
  rewrite curvature_form, Rmult_assoc.
  pose proof (p_pos log_w h_true h); pose proof (q_pos log_w h_true h).
  split; [apply Rmult_lt_0_compat; [lra | apply sigmoid_product_pos] |].
  apply Rmult_le_compat_l; [lra | apply sigmoid_product_quarter].
Qed.

Theorem L1_slope_bound z h_true h :
  Rabs (risk_slope log_w z h_true h) <= Rmax (p h_true h) (q h_true h).
Proof.
  rewrite slope_form.
  pose proof (p_pos log_w h_true h); pose proof (q_pos log_w h_true h).
  pose proof (Rmax_l (p h_true h) (q h_true h)); pose proof (Rmax_r (p h_true h) (q h_true h)).
  pose proof (sigmoid_pos z); pose proof (sigmoid_lt_1 z).
  pose proof (sigmoid_pos (- z)); pose proof (sigmoid_lt_1 (- z)).
  assert (0 <= q h_true h * sigmoid z <= q h_true h * 1)
    by (split; [apply Rmult_le_pos | apply Rmult_le_compat_l]; lra).
  assert (0 <= p h_true h * sigmoid (- z) <= p h_true h * 1)
    by (split; [apply Rmult_le_pos | apply Rmult_le_compat_l]; lra).
  apply Rabs_le; lra.
Qed.

(* Generalized self-concordance: the third derivative is at most the second. *)
Theorem L1_third_derivative z h_true h : exists third,
  is_derive (fun z => risk_curvature log_w z h_true h) z third /\
  Rabs third <= risk_curvature log_w z h_true h.
Proof.
  exists (risk_curvature log_w z h_true h * (sigmoid (- z) - sigmoid z)); split.
  - apply is_derive_ext with (fun z => (p h_true h + q h_true h) * sigmoid z * sigmoid (- z)).
    { intros; symmetry; apply curvature_form. }
    rewrite curvature_form; unfold sigmoid; auto_derive.
    { repeat split; apply Rgt_not_eq, one_plus_exp_pos. }
    rewrite !Ropp_involutive, exp_opp; pose proof (exp_pos z); field; lra.
  - pose proof (L1_curvature_bounds z h_true h) as [? _].
    rewrite Rabs_mult, (Rabs_right (risk_curvature log_w z h_true h)) by lra.
    rewrite <- (Rmult_1_r (risk_curvature log_w z h_true h)) at 2.
    apply Rmult_le_compat_l; [lra |].
    rewrite sigmoid_opp; pose proof (sigmoid_pos z); pose proof (sigmoid_lt_1 z).
    apply Rabs_le; lra.
Qed.

(* Strong convexity where the implicit margin is bounded. *)
Theorem L1_strong_convexity z b h_true h : Rabs z <= b ->
  (p h_true h + q h_true h) * sigmoid b * sigmoid (- b) <= risk_curvature log_w z h_true h.
Proof.
  intros Hz; rewrite curvature_form, !Rmult_assoc.
  pose proof (p_pos log_w h_true h); pose proof (q_pos log_w h_true h).
  apply Rmult_le_compat_l; [lra |]; rewrite !sigmoid_opp.
  assert (forall x y, x <= y -> sigmoid x <= sigmoid y) as Mono.
  { intros x y [? | ->]; [left; now apply sigmoid_increasing | right; reflexivity]. }
  assert (- b <= z <= b) as [Hl Hu].
  { revert Hz; unfold Rabs; destruct (Rcase_abs z); lra. }
  apply Mono in Hl, Hu; rewrite sigmoid_opp in Hl.
  assert (0 <= (sigmoid b - sigmoid z) * (sigmoid b + sigmoid z - 1)) by (apply Rmult_le_pos; lra).
  lra.
Qed.

End Landscape.
