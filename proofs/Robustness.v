(* R2: no reward model, however wrong, moves a target by more than a closed form. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Schedule Weight Risk Target.
Open Scope R_scope.

Section Influence.

Variable s : schedule.
Hypothesis ok : valid s.

Theorem R2_closed_form :
  influence_bound s = Rmax ((c_max s - 1) * tau s) (ln (1 + exp (- (c_min s * tau s)))).
Proof.
  unfold influence_bound; rewrite Ropp_Rmin, !Ropp_involutive, (Rmult_comm (tau s)); reflexivity.
Qed.

Lemma influence_right h : 0 <= h -> Rabs (log_weight_ratio s h) <= influence_bound s.
Proof.
  destruct ok as (? & ? & ? & ?); intros; rewrite R2_closed_form.
  destruct (Rle_lt_dec h (tau s)) as [Hh | Hh].
  - eapply Rle_trans; [| apply Rmax_l].
    rewrite ratio_inside, Rabs_mult by (rewrite ?Rabs_right; try assumption; lra).
    apply Rmult_le_compat; try apply Rabs_pos; [| rewrite Rabs_right; lra].
    pose proof (S1_range s ok h); rewrite S1_formula, (Rabs_right h) in * by (try assumption; lra).
    enough (1 <= c s h) by (rewrite Rabs_right; lra).
    destruct Hh as [Hh | ->]; [left; now apply c_above | rewrite c_tau by assumption; lra].
  - eapply Rle_trans; [| apply Rmax_r].
    pose proof (T3_bound s ok h); pose proof (T3_dampened s ok h).
    unfold effective_target in *; rewrite Rabs_left; lra.
Qed.

Theorem R2_influence h : Rabs (log_weight_ratio s h) <= influence_bound s.
Proof.
  destruct (Rle_lt_dec 0 h); [now apply influence_right |].
  rewrite <- (Ropp_involutive h), T1_odd, Rabs_Ropp by assumption; apply influence_right; lra.
Qed.

Theorem R2_shift h_true h : Rabs (target s h_true h - h_true) <= influence_bound s.
Proof.
  unfold effective_target; replace (h_true + _ - h_true) with (log_weight_ratio s h) by ring.
  apply R2_influence.
Qed.

Theorem R2_sign h_true h : influence_bound s < h_true -> 0 < target s h_true h.
Proof.
  intros; pose proof (R2_influence h) as Hi; unfold effective_target.
  pose proof (Rle_abs (- log_weight_ratio s h)) as Ha; rewrite Rabs_Ropp in Ha; lra.
Qed.

End Influence.
