// Normal tasks on the same rows; weights and group effects are correlated over tasks.
data {
  int N, F, T, G;
  matrix[N, F] x;
  matrix[N, T] y;
  array[N] int g;
}
parameters {
  vector[T] level;
  vector<lower=0>[F] scale;
  vector<lower=0>[T] sd, sigma;
  cholesky_factor_corr[T] root, group_root;
  array[F] vector[T] weights;
  array[G] vector[T] effect;
}
model {
  level ~ normal(0, 2.5);
  scale ~ normal(0, 1);
  sd ~ student_t(3, 0, 1);
  sigma ~ student_t(3, 0, 1);
  root ~ lkj_corr_cholesky(2);
  group_root ~ lkj_corr_cholesky(2);
  for (f in 1:F) weights[f] ~ multi_normal_cholesky(rep_vector(0, T), scale[f] * root);
  effect ~ multi_normal_cholesky(level, diag_pre_multiply(sd, group_root));
  for (t in 1:T)
    y[, t] ~ normal_id_glm(x, to_vector(effect[g, t]), to_vector(weights[, t]), sigma[t]);
}
generated quantities {
  matrix[T, T] task_correlation = multiply_lower_tri_self_transpose(root);
  matrix[T, T] group_correlation = multiply_lower_tri_self_transpose(group_root);
  matrix[T, F] weight;
  for (f in 1:F) weight[, f] = weights[f];
}
