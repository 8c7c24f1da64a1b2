-- Return a page of the latest outcomes, in the order of their fields. ARGV: the field behind which to begin, the
-- first bytes of the fields, and the number of rows. Answers with fields and values.

local fields = {}
for _, field in ipairs(call('HKEYS', P .. 'tr')) do
    if field > ARGV[1] and sub(field, 1, #ARGV[2]) == ARGV[2] then fields[#fields + 1] = field end
end
table.sort(fields)
local answer = {}
for number = 1, math.min(#fields, tonumber(ARGV[3])) do
    answer[#answer + 1] = fields[number]
    answer[#answer + 1] = call('HGET', P .. 'tr', fields[number])
end
return answer
