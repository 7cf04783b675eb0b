(* An offset does what a weight does: l(z - delta(h)) with every weight 1 has the target
   h* + delta(h), whatever the reward model, and an offset can be clipped. The losses are the code's,
   in its slots. *)

From Coq Require Import Reals Lra.
From Coquelicot Require Import Coquelicot.
From Madpo Require Import Sigmoid Generated Risk Calculus.
Open Scope R_scope.

Notation no_weight := (fun _ : R => 0).
Notation no_offset := (fun _ : R => 0).

Theorem offset_minimizer delta h_true h : delta (- h) = - delta h ->
  unique_minimizer (risk_of (hard_loss no_weight delta 1) h_true h)
    (effective_target delta h_true h).
Proof.
  intros Ho; assert (even delta h = 0) as He by (unfold even; rewrite Ho; lra).
  replace (effective_target delta h_true h) with (hard_target no_weight delta 1 h_true h).
  - destruct (C1_unique_minimizer no_weight delta 1 Rlt_0_1 h_true h) as (-> & _ & H); exact H.
  - rewrite C1_odd by (exact Rlt_0_1 || exact He).
    unfold odd, effective_target, ratio_of; rewrite Ho; field.
Qed.

(* Every weight has an offset with the same target, however wrong the reward model. *)
Theorem weight_is_offset log_w h_true h :
  let target := effective_target (ratio_of log_w) h_true h in
  unique_minimizer (risk_of (hard_loss log_w no_offset 1) h_true h) target
  /\ unique_minimizer (risk_of (hard_loss no_weight (ratio_of log_w) 1) h_true h) target.
Proof.
  split; [| apply offset_minimizer; unfold ratio_of; rewrite Ropp_involutive; ring].
  assert (even no_offset h = 0) as He by (unfold even; lra).
  replace (effective_target _ h_true h) with (hard_target log_w no_offset 1 h_true h).
  - destruct (C1_unique_minimizer log_w no_offset 1 Rlt_0_1 h_true h) as (-> & _ & H); exact H.
  - rewrite C1_odd by (exact Rlt_0_1 || exact He); unfold odd, effective_target; field.
Qed.

(* Clipped to [-d, d], an offset is the nearest to what was wanted, at every margin, of all that
   move no target by more than d; and it is no steeper. *)
Definition clip (d x : R) : R := Rmax (- d) (Rmin d x).

Ltac cases := unfold clip, Rmax, Rmin; repeat destruct Rle_dec; unfold Rabs;
  repeat destruct Rcase_abs; lra.

Theorem clip_odd d x : 0 <= d -> clip d (- x) = - clip d x /\ Rabs (clip d x) <= d.
Proof. split; cases. Qed.

Theorem clip_best d x y : 0 <= d -> Rabs y <= d -> Rabs (clip d x - x) <= Rabs (y - x).
Proof. intros Hd Hy; apply Rabs_le_between in Hy; cases. Qed.

Theorem clip_lipschitz d x y : 0 <= d -> Rabs (clip d x - clip d y) <= Rabs (x - y).
Proof. intros; cases. Qed.
