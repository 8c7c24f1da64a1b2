-- Return the progress of messages. ARGV: ids.

local answer = {}
for i, id in ipairs(ARGV) do
    answer[i] = call('HGET', P .. 'x:' .. id, 'p')
end
return answer
