#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace perennial {

// The text, cut to at most `limit` bytes between two characters: half a UTF-8 sequence would come
// back from the API server as another text, and be written again at every look.
std::string CutText(std::string_view text, std::size_t limit);

// How numbers stand in statuses and messages: six significant digits.
std::string NumberText(double value);

// A DNS label of RFC 1035: at most 63 lower-case letters, digits and '-', from a letter to a letter
// or digit. What the name of a Service must be, and what fits into a label's value.
bool IsDnsLabel(std::string_view text);

// RFC 4648, with or without line breaks; nullopt for anything else.
std::optional<std::string> DecodeBase64(std::string_view text);
std::string EncodeBase64(std::string_view bytes);  // on one line

}  // namespace perennial
