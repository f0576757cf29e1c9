// Yes or no, with a level of each group.
data {
  int N, F, T, G;
  matrix[N, F] x;
  array[N, T] int y;
  array[N] int g;
}
parameters {
  real level;
  vector[F] weight;
  real<lower=0> sd;
  vector[G] effect;
}
model {
  level ~ normal(0, 2.5);
  weight ~ normal(0, 5);
  sd ~ student_t(3, 0, 1);
  effect ~ std_normal();
  y[, 1] ~ bernoulli_logit_glm(x, level + sd * effect[g], weight);
}
