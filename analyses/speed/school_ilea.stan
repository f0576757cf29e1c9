// Each group a task, with weights about common ones.
data {
  int N, F, T, G;
  matrix[N, F] x;
  matrix[N, T] y;
  array[N] int g;
}
parameters {
  vector[G] level;
  vector<lower=0>[F] scale;
  vector<lower=0, upper=1>[F] share;
  vector[F] common;
  matrix[F, G] own;
  real sigma_centre;
  real<lower=0> sigma_spread;
  vector[G] standard_sigma;
}
transformed parameters {
  vector[G] sigma = exp(sigma_centre + sigma_spread * standard_sigma);
  matrix[F, G] weights =
    rep_matrix(common, G) + diag_pre_multiply(scale .* sqrt(1 - share), own);
}
model {
  level ~ normal(0, 2.5);
  scale ~ normal(0, 1);
  common ~ normal(0, scale .* sqrt(share));
  to_vector(own) ~ std_normal();
  sigma_centre ~ normal(0, 1);
  sigma_spread ~ normal(0, 1);
  standard_sigma ~ std_normal();
  y[, 1] ~ normal(level[g] + columns_dot_product(x', weights[, g])', sigma[g]);
}
generated quantities {
  matrix[G, F] weight = weights';
}
