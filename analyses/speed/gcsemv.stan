// Two tasks with correlated residuals: the first, and the second given the first where that was seen.
data {
  int N, F, T, G;
  matrix[N, F] x;
  matrix[N, T] y;
  array[N, T] int seen;
  array[N] int g;
}
transformed data {
  int M1 = sum(seen[, 1]), M2 = sum(seen[, 2]);
  array[M1] int first;
  array[M2] int second;
  int a = 0, b = 0;
  for (n in 1:N) {
    if (seen[n, 1]) { a += 1; first[a] = n; }
    if (seen[n, 2]) { b += 1; second[b] = n; }
  }
  vector[M2] known = to_vector(seen[second, 1]);
}
parameters {
  vector[T] level;
  vector<lower=0>[F] scale;
  vector<lower=0>[T] sd, sigma;
  cholesky_factor_corr[T] root, group_root;
  real<lower=-1, upper=1> residual;
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
  vector[N] mean1 = x * to_vector(weights[, 1]) + to_vector(effect[g, 1]);
  vector[N] mean2 = x * to_vector(weights[, 2]) + to_vector(effect[g, 2]);
  vector[M2] slope = residual * sigma[2] / sigma[1] * known;
  y[first, 1] ~ normal(mean1[first], sigma[1]);
  y[second, 2] ~ normal(
    mean2[second] + slope .* (y[second, 1] - mean1[second]),
    sigma[2] * sqrt(1 - square(residual) * known));
}
generated quantities {
  matrix[T, T] task_correlation = multiply_lower_tri_self_transpose(root);
  matrix[T, T] group_correlation = multiply_lower_tri_self_transpose(group_root);
  matrix[T, T] residual_correlation = [[1, residual], [residual, 1]];
  matrix[T, F] weight;
  for (f in 1:F) weight[, f] = weights[f];
}
