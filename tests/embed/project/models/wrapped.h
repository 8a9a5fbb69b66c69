/* A library that has a model inside. */
int wrapped_classify(const float *pixels, float *logits);
