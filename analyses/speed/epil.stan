// Overdispersed counts, with a level of each group.
data {
  int N, F, T, G;
  matrix[N, F] x;
  array[N, T] int y;
  array[N] int g;
}
parameters {
  real level;
  vector[F] weight;
  real<lower=0> sd, shape;
  vector[G] effect;
}
model {
  level ~ normal(0, 2.5);
  weight ~ normal(0, 5);
  sd ~ student_t(3, 0, 1);
  shape ~ inv_gamma(0.4, 0.3);
  effect ~ std_normal();
  y[, 1] ~ neg_binomial_2_log_glm(x, level + sd * effect[g], weight, shape);
}
