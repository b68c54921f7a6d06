#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace perennial {

// The text, cut to at most `limit` bytes between two characters: half a UTF-8 sequence would come
// back from the API server as another text, and be written again at every look.
std::string CutText(std::string_view text, std::size_t limit);

}  // namespace perennial
