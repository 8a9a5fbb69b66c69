// Generated headers in C++.
#include "Pair.h"
#include "digits.h"

#include <memory>
#include <vector>

int main()
{
    tfx_model *opened = nullptr;
    if (digits_open(nullptr, &opened) != TFX_OK) return 1;
    std::unique_ptr<tfx_model, decltype(&tfx_close)> model(opened, tfx_close);
    std::vector<float> pixels(digits_input_pixels_elements(2)), logits(digits_output_logits_elements(2));
    if (digits_infer(model.get(), 2, pixels.data(), logits.data()) != TFX_OK) return 1;
    return Pair_info()->n_entries == 1 ? 0 : 1;
}
